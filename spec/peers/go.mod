// What plays AutoGen's workers in Go, and the tools that `make interop` runs against the host. Debian 12's Go is 1.19, and
// each pin is the newest that it builds:
//   grpc        1.64.1: from 1.65 on Go 1.21 is needed
//   grpcurl     1.9.1: from 1.9.2 on Go 1.21
//   protobuf    as grpcurl 1.9.1's protoreflect wants it; from 1.34 on Go 1.20
//   protoc-gen-go-grpc 1.3.0: from 1.4 on its stubs need a newer grpc
//   h2spec      2.2.1: the last that is a Go module by its tag (2.6.0 is not); the cases are those of RFC 7540
// The stubs are made of proto/ by spec/interop/support/golang.py, into build/interop/go/agents.
module troupe/peers

go 1.19

require (
	github.com/fullstorydev/grpcurl v1.9.1
	github.com/summerwind/h2spec v2.2.1+incompatible
	google.golang.org/grpc v1.64.1
	google.golang.org/grpc/cmd/protoc-gen-go-grpc v1.3.0
	google.golang.org/protobuf v1.33.1-0.20240408130810-98873a205002
	troupe/agents v0.0.0
)

require (
	cloud.google.com/go/compute v1.25.1 // indirect
	cloud.google.com/go/compute/metadata v0.2.3 // indirect
	github.com/bufbuild/protocompile v0.10.0 // indirect
	github.com/census-instrumentation/opencensus-proto v0.4.1 // indirect
	github.com/cespare/xxhash/v2 v2.2.0 // indirect
	github.com/cncf/xds/go v0.0.0-20240318125728-8a4994d93e50 // indirect
	github.com/envoyproxy/go-control-plane v0.12.0 // indirect
	github.com/envoyproxy/protoc-gen-validate v1.0.4 // indirect
	github.com/fatih/color v1.16.0 // indirect
	github.com/golang/protobuf v1.5.4 // indirect
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/jhump/protoreflect v1.16.0 // indirect
	github.com/mattn/go-colorable v0.1.13 // indirect
	github.com/mattn/go-isatty v0.0.20 // indirect
	github.com/spf13/cobra v1.8.0 // indirect
	github.com/spf13/pflag v1.0.5 // indirect
	golang.org/x/net v0.26.0 // indirect
	golang.org/x/oauth2 v0.18.0 // indirect
	golang.org/x/sync v0.7.0 // indirect
	golang.org/x/sys v0.21.0 // indirect
	golang.org/x/text v0.16.0 // indirect
	google.golang.org/appengine v1.6.8 // indirect
	google.golang.org/genproto/googleapis/api v0.0.0-20240318140521-94a12d6c2237 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20240318140521-94a12d6c2237 // indirect
)

replace troupe/agents => ../../build/interop/go/agents
