# Open vSwitch and OVN, as Debian ships them. One image serves ovn-central and ovs-ovn.
#
#   docker build -f dist/images/ovn.Dockerfile -t ghcr.io/woven-cni/ovn:dev dist/images
#
# SUITE chooses the Debian release, and with it the versions: trixie has OVS 3.5 and OVN 25.03.
ARG SUITE=trixie
ARG BASE=docker.io/library/debian:${SUITE}-slim
FROM ${BASE}

# The packages depend on more than the daemons and tools use: init scripts want systemd, a few
# debugging scripts want Python. Taking those away again halves what the packages add. This happens in
# one layer, so that nothing of it stays in the image.
RUN set -eu; export DEBIAN_FRONTEND=noninteractive; \
    printf 'path-exclude=/usr/share/%s/*\n' doc man locale >/etc/dpkg/dpkg.cfg.d/slim; \
    apt-get update -q; \
    apt-get install -qy --no-install-recommends openvswitch-switch ovn-central ovn-host; \
    unwanted=$(dpkg-query -Wf '${Package}\n' | \
        grep -xE '(lib)?python3.*|systemd|libsystemd-shared|lsb-release|media-types|adduser'); \
    dpkg --purge --force-depends ${unwanted}; \
    rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/* /etc/openvswitch /var/lib/openvswitch; \
    mkdir -p /etc/openvswitch /etc/ovn /run/openvswitch /run/ovn; \
    ovs-vswitchd --version; ovn-controller --version; ovn-northd --version; ovsdb-server --version

COPY --chmod=0755 start-ovsdb.sh /usr/local/bin/start-ovsdb
COPY --chmod=0755 start-vswitchd.sh /usr/local/bin/start-vswitchd
