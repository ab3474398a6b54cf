package main

import (
	"encoding/json"
	"errors"
	"strconv"

	"google.golang.org/grpc"
	pb "troupe/agents"
)

// AutoGen's Python worker: all on one connection, JSON bodies, request ids that count from 1, "unknown" as the sender of what no
// agent published; and what it cannot read is logged.
type python struct{}

type note struct {
	Text string `json:"text"`
}

func (python) dial() []grpc.DialOption {
	return []grpc.DialOption{grpc.WithUserAgent("grpc-python-asyncio/1.70.0 grpc-c/45.0.0 (linux; chttp2)")}
}

func (python) connections() int       { return 1 }
func (python) reopens() bool          { return false }
func (python) requestID(n int) string { return strconv.Itoa(n) }

func encode(text string) []byte {
	bytes, err := json.Marshal(note{text})
	if err != nil {
		panic(err)
	}
	return bytes
}

func decode(bytes []byte) (string, error) {
	var n note
	err := json.Unmarshal(bytes, &n)
	return n.Text, err
}

func (python) event(topic, source, text string) *pb.CloudEvent {
	return &pb.CloudEvent{
		Id: guid(), Source: source, SpecVersion: "1.0", Type: topic,
		Attributes: map[string]*pb.CloudEvent_CloudEventAttributeValue{
			"datacontenttype":   attribute("application/json"),
			"dataschema":        attribute("Note"),
			"agagentsendertype": attribute("unknown"),
			"agagentsenderkey":  attribute("unknown"),
			"agmsgkind":         attribute("publish"),
		},
		Data: &pb.CloudEvent_BinaryData{BinaryData: encode(text)},
	}
}

func (python) payload(text string) *pb.Payload {
	return &pb.Payload{DataType: "Note", DataContentType: "application/json", Data: encode(text)}
}

func (python) readEvent(event *pb.CloudEvent) (string, error) {
	if any := event.GetProtoData(); any != nil {
		return unpack(any)
	}
	return decode(event.GetBinaryData())
}

func (python) readRequest(request *pb.RpcRequest) (string, error) {
	return decode(request.GetPayload().GetData())
}

func (python) readResponse(response *pb.RpcResponse) (string, string, error) {
	if response.Error != "" {
		return "", response.Error, nil
	}
	if response.Payload == nil {
		return "", "", errors.New("no payload")
	}
	text, err := decode(response.Payload.Data)
	return text, "", err
}
