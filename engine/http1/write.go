package http1

import (
	"strconv"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// AppendRequest appends the request as it goes over the wire. The fields are
// written as they stand; only the framing is made to agree with the body, since
// a body may have been rewritten on its way: a Content-Length is corrected in
// place, a chunked body is sent as one chunk.
func AppendRequest(dst []byte, r *traffic.Request) []byte {
	dst = append(dst, r.Method...)
	dst = append(dst, ' ')
	dst = append(dst, r.Target...)
	dst = append(dst, ' ')
	dst = append(dst, wireProto(r.Proto)...)
	dst = append(dst, "\r\n"...)
	length, err := framing(r.Header)
	inChunks := err == nil && length == chunked
	sized := false
	for _, f := range r.Header {
		value := f.Value
		if traffic.EqualName(f.Name, "Content-Length") {
			if sized || inChunks {
				continue
			}
			sized = true
			if length != int64(len(r.Body.Bytes)) {
				value = strconv.Itoa(len(r.Body.Bytes))
			}
		}
		dst = appendField(dst, f.Name, value)
	}
	if len(r.Body.Bytes) > 0 && !sized && !inChunks {
		dst = appendField(dst, "Content-Length", strconv.Itoa(len(r.Body.Bytes)))
	}
	dst = append(dst, "\r\n"...)
	if !inChunks {
		return append(dst, r.Body.Bytes...)
	}
	if len(r.Body.Bytes) > 0 {
		dst = strconv.AppendInt(dst, int64(len(r.Body.Bytes)), 16)
		dst = append(dst, "\r\n"...)
		dst = append(dst, r.Body.Bytes...)
		dst = append(dst, "\r\n"...)
	}
	dst = append(dst, "0\r\n"...)
	for _, f := range r.Trailer {
		dst = appendField(dst, f.Name, f.Value)
	}
	return append(dst, "\r\n"...)
}

func appendField(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, "\r\n"...)
}

// wireProto is the version to speak for a request that may have been recorded
// over HTTP/2 or HTTP/3.
func wireProto(proto string) string {
	if proto == "HTTP/1.0" {
		return proto
	}
	return "HTTP/1.1"
}
