package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	pb "troupe/agents"
)

type options struct {
	host, agentType, topic string
	gzip, unaryFirst       bool
}

// What .NET's worker and Python's differ in.
type kind interface {
	dial() []grpc.DialOption
	connections() int // one for the stream and the unary calls, or one each
	requestID(n int) string
	event(topic, source, text string) *pb.CloudEvent
	payload(text string) *pb.Payload
	// What it reads of a message; an error is an exception in its read pump.
	readEvent(*pb.CloudEvent) (string, error)
	readRequest(*pb.RpcRequest) (string, error)
	readResponse(*pb.RpcResponse) (text string, failure string, err error)
	// An exception ends the stream, and a new one is opened.
	reopens() bool
}

type answer struct{ text, failure string }

type worker struct {
	kind     kind
	clientID string
	root     context.Context
	stream   pb.AgentRpcClient // its connection
	unary    pb.AgentRpcClient // that of the unary calls

	lock    sync.Mutex // of what follows
	channel pb.AgentRpc_OpenChannelClient
	stop    context.CancelFunc
	number  int
	waiting map[string]chan answer
	sending sync.Mutex
}

// guid is a random UUID in text.
func guid() string {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		panic(err)
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func newWorker(ctx context.Context, k kind, o options) (*worker, error) {
	w := &worker{kind: k, clientID: guid(), root: ctx, waiting: map[string]chan answer{}}
	dial := append(k.dial(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if o.gzip {
		dial = append(dial, grpc.WithDefaultCallOptions(grpc.UseCompressor(gzip.Name)))
	}
	var conns [2]*grpc.ClientConn
	for i := range conns {
		if i >= k.connections() {
			conns[i] = conns[0]
			continue
		}
		conn, err := grpc.NewClient(o.host, dial...)
		if err != nil {
			return nil, err
		}
		conns[i] = conn
	}
	w.stream, w.unary = pb.NewAgentRpcClient(conns[0]), pb.NewAgentRpcClient(conns[1])
	steps := []func() error{w.open, func() error { return w.join(o) }}
	if o.unaryFirst {
		steps[0], steps[1] = steps[1], steps[0]
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (w *worker) context() context.Context {
	return metadata.AppendToOutgoingContext(w.root, "client-id", w.clientID)
}

// join registers what the options name, in the order of Agent.register().
func (w *worker) join(o options) error {
	if o.agentType == "" {
		return nil
	}
	if _, err := w.unary.RegisterAgent(w.context(), &pb.RegisterAgentTypeRequest{Type: o.agentType}); err != nil {
		return err
	}
	if o.topic != "" {
		if _, err := w.subscribe("type", o.topic, o.agentType); err != nil {
			return err
		}
	}
	_, err := w.subscribe("prefix", o.agentType+":", o.agentType)
	return err
}

func (w *worker) subscribe(kind, topic, agentType string) (string, error) {
	s := &pb.Subscription{Id: guid()}
	switch kind {
	case "type":
		s.Subscription = &pb.Subscription_TypeSubscription{
			TypeSubscription: &pb.TypeSubscription{TopicType: topic, AgentType: agentType}}
	case "prefix":
		s.Subscription = &pb.Subscription_TypePrefixSubscription{
			TypePrefixSubscription: &pb.TypePrefixSubscription{TopicTypePrefix: topic, AgentType: agentType}}
	case "none":
		s = &pb.Subscription{}
	}
	_, err := w.unary.AddSubscription(w.context(), &pb.AddSubscriptionRequest{Subscription: s})
	return s.Id, err
}

// open begins a new stream without waiting for the host's headers, and ends the one before.
func (w *worker) open() error {
	ctx, stop := context.WithCancel(w.context())
	channel, err := w.stream.OpenChannel(ctx)
	if err != nil {
		stop()
		return err
	}
	w.lock.Lock()
	if w.stop != nil {
		w.stop()
	}
	w.channel, w.stop = channel, stop
	w.lock.Unlock()
	go w.pump(channel)
	return nil
}

// pump reads one message after the other; each is handled before the next is read.
func (w *worker) pump(channel pb.AgentRpc_OpenChannelClient) {
	for {
		message, err := channel.Recv()
		if err == nil {
			err = w.handle(message)
			if err != nil {
				say("threw", map[string]any{"error": err.Error()})
			}
			if err == nil || !w.kind.reopens() {
				continue
			}
		}
		w.lock.Lock()
		current := w.channel == channel
		w.lock.Unlock()
		if !current {
			return
		}
		say("ended", map[string]any{"error": err.Error()})
		if !w.kind.reopens() {
			return
		}
		time.Sleep(50 * time.Millisecond)
		if w.open() == nil {
			return
		}
	}
}

func (w *worker) handle(message *pb.Message) error {
	switch m := message.Message.(type) {
	case *pb.Message_CloudEvent:
		text, err := w.kind.readEvent(m.CloudEvent)
		if err == nil {
			say("event", map[string]any{"topic": m.CloudEvent.Type, "source": m.CloudEvent.Source, "text": brief(text), "size": len(text)})
		}
		return err
	case *pb.Message_Request:
		text, err := w.kind.readRequest(m.Request)
		if err != nil {
			return err
		}
		say("request", map[string]any{"text": brief(text), "size": len(text)})
		response := &pb.RpcResponse{RequestId: m.Request.RequestId, Payload: w.kind.payload("re: " + text)}
		return w.send(&pb.Message{Message: &pb.Message_Response{Response: response}})
	case *pb.Message_Response:
		text, failure, err := w.kind.readResponse(m.Response)
		if err != nil {
			return err
		}
		w.lock.Lock()
		waits := w.waiting[m.Response.RequestId]
		delete(w.waiting, m.Response.RequestId)
		w.lock.Unlock()
		if waits == nil {
			return fmt.Errorf("an answer to nothing: %s", m.Response.RequestId)
		}
		waits <- answer{text, failure}
	}
	return nil
}

func (w *worker) send(message *pb.Message) error {
	w.lock.Lock()
	channel := w.channel
	w.lock.Unlock()
	w.sending.Lock()
	defer w.sending.Unlock()
	return channel.Send(message)
}

func (w *worker) call(agent, text string) (map[string]any, error) {
	agentType, key, _ := strings.Cut(agent, "/")
	waits := make(chan answer, 1)
	w.lock.Lock()
	w.number++
	id := w.kind.requestID(w.number)
	w.waiting[id] = waits
	w.lock.Unlock()
	request := &pb.RpcRequest{RequestId: id, Target: &pb.AgentId{Type: agentType, Key: key}, Payload: w.kind.payload(text)}
	if err := w.send(&pb.Message{Message: &pb.Message_Request{Request: request}}); err != nil {
		return nil, err
	}
	select {
	case a := <-waits:
		if a.failure != "" {
			return nil, fmt.Errorf("%s", a.failure)
		}
		return map[string]any{"text": brief(a.text), "size": len(a.text)}, nil
	case <-time.After(2 * time.Second):
		return nil, fmt.Errorf("no answer")
	}
}

func brief(text string) string {
	if len(text) > 200 {
		return text[:200]
	}
	return text
}
