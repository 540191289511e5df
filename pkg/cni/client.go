package cni

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/containernetworking/cni/pkg/types"
)

// dialTimeout bounds the connection only, with the wait for a daemon that restarts: an answer may take as long as the
// runtime is ready to wait, and the runtime ends its wait by killing this process, which the daemon sees.
const dialTimeout = 10 * time.Second

// Call hands a request to the daemon at a socket and returns the bytes for standard output. Whatever goes wrong is a
// *types.Error, ready for the runtime.
func Call(ctx context.Context, socket string, request Request) ([]byte, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return nil, types.NewError(types.ErrDecodingFailure, "encoding the request", err.Error())
	}
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://woven"+Path, bytes.NewReader(body))
	if err != nil {
		return nil, types.NewError(types.ErrInternal, "making the request", err.Error())
	}
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, socket) },
	}
	response, err := (&http.Client{Transport: transport}).Do(post)
	if err != nil {
		return nil, unreachable(request.Command(), err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, unreachable(request.Command(), err)
	}
	if response.StatusCode == http.StatusOK {
		return answer, nil
	}
	refusal := &types.Error{}
	if err := json.Unmarshal(answer, refusal); err != nil || refusal.Code == 0 {
		return nil, types.NewError(types.ErrInternal, "the daemon answered "+response.Status, string(answer))
	}
	return nil, refusal
}

// unreachable chooses the code of an answer that never came.
//
// DEL asks to be tried again too, although the specification lets it succeed on what is gone: a pod's port that stays
// behind would fight for the address of the pod's successor on another node, so a DEL that nobody heard must not be
// taken for done.
func unreachable(command string, cause error) *types.Error {
	code := types.ErrTryAgainLater
	if command == "STATUS" {
		code = types.ErrPluginNotAvailable
	}
	msg := "the Woven daemon of this node broke off"
	if absent(cause) {
		msg = "the Woven daemon of this node is not running"
	}
	return types.NewError(code, msg, fmt.Sprintf("%s: %v", command, cause))
}
