package main

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	pb "troupe/agents"
)

// AutoGen's .NET worker as docs/lessons.md has it (N1 to N21): the stream and the unary calls on connections of their
// own, keep-alive pings, GUIDs as ids, protobuf bodies alone, events without a sender; what it cannot read is an
// exception in its read pump, which opens a new stream with the same client-id and registers nothing again.
type dotnet struct{}

var (
	legalType = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
	legalKey  = regexp.MustCompile(`^[ -~]*[!-~][ -~]*$`)
)

const retries = `{"methodConfig": [{"name": [{"service": "agents.AgentRpc"}], "retryPolicy": {"maxAttempts": 5,
  "initialBackoff": "0.1s", "maxBackoff": "1s", "backoffMultiplier": 1.5, "retryableStatusCodes": ["UNAVAILABLE"]}}]}`

func (dotnet) dial() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithUserAgent("grpc-dotnet/2.66.0 (.NET 8.0.10; CLR 8.0.10; net8.0; linux; x64)"),
		// .NET's is 20 s; grpc-go allows no less than 10 s, which is harder on the host.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 10 * time.Second}),
		grpc.WithDefaultServiceConfig(retries),
	}
}

func (dotnet) connections() int     { return 2 }
func (dotnet) reopens() bool        { return true }
func (dotnet) requestID(int) string { return guid() }

func pack(text string) *anypb.Any {
	any, err := anypb.New(wrapperspb.String(text))
	if err != nil {
		panic(err)
	}
	return any
}

func unpack(any *anypb.Any) (string, error) {
	value := new(wrapperspb.StringValue)
	err := any.UnmarshalTo(value)
	return value.Value, err
}

func attribute(text string) *pb.CloudEvent_CloudEventAttributeValue {
	return &pb.CloudEvent_CloudEventAttributeValue{Attr: &pb.CloudEvent_CloudEventAttributeValue_CeString{CeString: text}}
}

// No spec_version, and no sender: nobody's agent published it.
func (dotnet) event(topic, source, text string) *pb.CloudEvent {
	return &pb.CloudEvent{
		Id: guid(), Source: source, Type: topic,
		Attributes: map[string]*pb.CloudEvent_CloudEventAttributeValue{
			"datacontenttype": attribute("application/x-protobuf"),
			"dataschema":      attribute("google.protobuf.StringValue"),
			"agmsgkind":       attribute("publish"),
		},
		Data: &pb.CloudEvent_ProtoData{ProtoData: pack(text)},
	}
}

func (dotnet) payload(text string) *pb.Payload {
	bytes, err := proto.Marshal(pack(text))
	if err != nil {
		panic(err)
	}
	return &pb.Payload{DataType: "google.protobuf.StringValue", DataContentType: "application/x-protobuf", Data: bytes}
}

func readPayload(payload *pb.Payload) (string, error) {
	if payload == nil {
		return "", errors.New("Payload is null")
	}
	any := new(anypb.Any)
	if err := proto.Unmarshal(payload.Data, any); err != nil {
		return "", fmt.Errorf("payload: %w", err)
	}
	return unpack(any)
}

func (dotnet) readEvent(event *pb.CloudEvent) (string, error) {
	if event.GetProtoData() == nil {
		return "", errors.New("ProtoData is null")
	}
	if _, has := event.Attributes["dataschema"]; !has {
		return "", errors.New("no dataschema")
	}
	if !legalKey.MatchString(event.Source) {
		return "", fmt.Errorf("invalid key %q", event.Source)
	}
	if sender := event.Attributes["agagentsendertype"]; sender != nil && !legalType.MatchString(sender.GetCeString()) {
		return "", fmt.Errorf("invalid type %q", sender.GetCeString())
	}
	return unpack(event.GetProtoData())
}

func (dotnet) readRequest(request *pb.RpcRequest) (string, error) {
	for _, id := range []*pb.AgentId{request.Source, request.Target} {
		if id != nil && (!legalType.MatchString(id.Type) || !legalKey.MatchString(id.Key)) {
			return "", fmt.Errorf("invalid id %q/%q", id.Type, id.Key)
		}
	}
	return readPayload(request.Payload)
}

// An error is never looked at.
func (dotnet) readResponse(response *pb.RpcResponse) (string, string, error) {
	text, err := readPayload(response.Payload)
	return text, "", err
}
