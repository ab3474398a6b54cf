"""What the twins (peers/agent.py, agents/twin.lua) heard: (by, topic, sender, text) of each Note."""


def lua_notes(lua):
    return [tuple(line.split("\t")[1:]) for line in lua.out if line.startswith("note\t")]


def python_notes(python):
    return [(r["by"], r["topic"], r["sender"], r["text"]) for r in python.said("note")]
