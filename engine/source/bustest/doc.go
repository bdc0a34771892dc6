// Package bustest tests the sources of message buses against servers that run
// inside the test. It is a module of its own, so that these servers are no
// dependency of the tool:
//
//	cd engine/source/bustest && go test -race ./...
package bustest
