package main

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/status"
	pb "troupe/agents"
)

// A command; which of its fields count depends on Do.
type command struct {
	ID     int    `json:"id"`
	Do     string `json:"do"`
	Agent  string `json:"agent"`  // call: "type/key"; register, subscribe: an agent type
	Topic  string `json:"topic"`  // publish, subscribe
	Source string `json:"source"` // publish
	Text   string `json:"text"`   // publish, call; unsubscribe: an id
	Kind   string `json:"kind"`   // subscribe: "type", "prefix", "none" (an empty subscription)
	Size   int    `json:"size"`   // publish, call: a text of so many characters
}

func (w *worker) perform(c command) {
	started := time.Now()
	if c.Size > 0 {
		c.Text = strings.Repeat("x", c.Size)
	}
	record, err := w.do(c)
	if record == nil {
		record = map[string]any{}
	}
	if err != nil {
		record["error"] = err.Error()
		if s, ok := status.FromError(err); ok {
			record["code"], record["error"] = s.Code().String(), s.Message()
		}
	}
	record["id"], record["seconds"] = c.ID, time.Since(started).Seconds()
	say("done", record)
}

func (w *worker) do(c command) (map[string]any, error) {
	switch c.Do {
	case "register":
		_, err := w.unary.RegisterAgent(w.context(), &pb.RegisterAgentTypeRequest{Type: c.Agent})
		return nil, err
	case "subscribe":
		id, err := w.subscribe(c.Kind, c.Topic, c.Agent)
		return map[string]any{"subscription": id}, err
	case "unsubscribe":
		_, err := w.unary.RemoveSubscription(w.context(), &pb.RemoveSubscriptionRequest{Id: c.Text})
		return nil, err
	case "subscriptions":
		all, err := w.unary.GetSubscriptions(w.context(), &pb.GetSubscriptionsRequest{})
		ids := []string{}
		for _, s := range all.GetSubscriptions() {
			ids = append(ids, s.Id)
		}
		return map[string]any{"ids": ids}, err
	case "publish":
		event := w.kind.event(c.Topic, c.Source, c.Text)
		return nil, w.send(&pb.Message{Message: &pb.Message_CloudEvent{CloudEvent: event}})
	case "call":
		return w.call(c.Agent, c.Text)
	case "reopen":
		return nil, w.open()
	}
	return nil, fmt.Errorf("no such command: %s", c.Do)
}
