// Command peers plays a worker of AutoGen's in Go: `peers dotnet|python HOST:PORT [flags]`.
//
// It is driven by commands on standard input and reports on standard output, a JSON object a line: each command has an
// "id" and is answered by {"say": "done", "id": …}. What a command may be stands in commands.go; worker.go is the
// worker itself, and dotnet.go and python.go are what the two kinds differ in: headers, connections, bodies, and what
// they cannot take.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sync"
)

var sayLock sync.Mutex

// say writes one record.
func say(what string, record map[string]any) {
	if record == nil {
		record = map[string]any{}
	}
	record["say"] = what
	line, err := json.Marshal(record)
	if err != nil {
		panic(err)
	}
	sayLock.Lock()
	defer sayLock.Unlock()
	fmt.Println(string(line))
}

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: peers dotnet|python HOST:PORT [--gzip] [--type TYPE] [--topic TOPIC] [--unary-first]")
		os.Exit(2)
	}
	kinds := map[string]kind{"dotnet": dotnet{}, "python": python{}}
	chosen, known := kinds[os.Args[1]]
	if !known {
		fmt.Fprintln(os.Stderr, "peers: dotnet or python, not", os.Args[1])
		os.Exit(2)
	}
	flags := flag.NewFlagSet("peers", flag.ExitOnError)
	options := options{host: os.Args[2]}
	flags.BoolVar(&options.gzip, "gzip", false, "send compressed messages")
	flags.StringVar(&options.agentType, "type", "", "register this agent type")
	flags.StringVar(&options.topic, "topic", "", "and subscribe it to this topic")
	flags.BoolVar(&options.unaryFirst, "unary-first", false, "register before the stream is opened")
	_ = flags.Parse(os.Args[3:])

	w, err := newWorker(context.Background(), chosen, options)
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
	say("ready", map[string]any{"client": w.clientID})
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var c command
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			fmt.Fprintln(os.Stderr, "peers:", err)
			os.Exit(1)
		}
		go w.perform(c)
	}
}
