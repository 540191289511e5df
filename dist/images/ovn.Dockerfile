# Open vSwitch and OVN, as Debian ships them. One image serves ovn-central and ovs-ovn.
#
#   docker build -f dist/images/ovn.Dockerfile -t ghcr.io/woven-cni/ovn:dev dist/images
#
# OVN chooses among the releases of ovn-versions, which has the exact versions of the packages.
ARG BASE=docker.io/library/debian:trixie-slim
FROM ${BASE}
ARG OVN=26.03
# Where packages of unstable come from.
ARG MIRROR=http://deb.debian.org/debian

COPY ovn-versions /etc/ovn-versions

# The base is Debian's stable release, for its security updates. Of unstable (sid) only the packages of ovn-versions are
# taken: the preferences forbid all others. An archive's index says until when it is valid, so that nobody is kept on
# old packages by an old index. Here the versions are fixed: an old index can offer these or none. So an index past
# its date is accepted, of this one source; its signature is checked as ever. Snapshots of the archive are always
# past their date, and unstable's own index has been.
#
# The packages depend on more than the daemons and tools use: init scripts want systemd, a few
# debugging scripts want Python. Taking those away again halves what the packages add. This happens in
# one layer, so that nothing of it stays in the image.
RUN set -eu; export DEBIAN_FRONTEND=noninteractive; \
    packages=$(awk -v ovn="${OVN}" '$1 == ovn {print $3}' /etc/ovn-versions); \
    test -n "${packages}" || { echo "OVN=${OVN}: ovn-versions has no such release" >&2; exit 1; }; \
    if awk -v ovn="${OVN}" '$1 == ovn {print $2}' /etc/ovn-versions | grep -qx sid; then \
        printf '%s\n' 'Types: deb' "URIs: ${MIRROR}" 'Suites: sid' 'Components: main' 'Check-Valid-Until: no' \
            'Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg' >/etc/apt/sources.list.d/ovn.sources; \
        printf '%s\n' 'Package: *' 'Pin: release n=sid' 'Pin-Priority: -1' >/etc/apt/preferences.d/ovn; \
    fi; \
    printf 'path-exclude=/usr/share/%s/*\n' doc man locale >/etc/dpkg/dpkg.cfg.d/slim; \
    apt-get update -q; \
    apt-get install -qy --no-install-recommends ${packages}; \
    unwanted=$(dpkg-query -Wf '${Package}\n' | \
        grep -xE '(lib)?python3.*|systemd|libsystemd-shared|lsb-release|media-types|adduser'); \
    dpkg --purge --force-depends ${unwanted}; \
    rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/* /etc/openvswitch /var/lib/openvswitch \
        /etc/apt/sources.list.d/ovn.sources /etc/apt/preferences.d/ovn; \
    mkdir -p /etc/openvswitch /etc/ovn /run/openvswitch /run/ovn; \
    ovs-vswitchd --version; ovn-controller --version; ovn-northd --version; ovsdb-server --version

COPY --chmod=0755 start-ovsdb.sh /usr/local/bin/start-ovsdb
COPY --chmod=0755 start-vswitchd.sh /usr/local/bin/start-vswitchd
