#!/usr/bin/env bash
# JSON and DOT of whole models: other programs read them, JSON has the nodes of the text after every
# pass, two dumps give equal bytes.
. tests/e2e/common.bash

# after NODES... a line for each stage of the array.
stages='import json, sys
for stage in json.load(sys.stdin):
    print(stage["after"], *(len(graph["nodes"]) for graph in stage["module"]["graphs"]))'
nodes_of_text='/^; after/ { if (line) print line; line = $3 }
/^graph/ { nodes = 0; inside = 1 }
inside && /^  / && !/^  (barrier|output)/ { nodes++ }
inside && /^}/ { line = line " " nodes; inside = 0 }
END { print line }'

check_json() { # name, arguments of graphc
    local name=$1
    shift
    graphc --dump=all --format=json "$@" >"$work/json" ||
        { fail "$name: graphc --format=json"; return; }
    graphc --dump=all --format=json "$@" >"$work/again"
    same_bytes "$name: two dumps" "$work/json" "$work/again"
    command -v python3 >/dev/null || { skip "$name: JSON" python3; return; }
    python3 -c "$stages" <"$work/json" >"$work/stages" || { fail "$name: not JSON"; return; }
    graphc --dump=all "$@" | awk "$nodes_of_text" >"$work/expected"
    same_bytes "$name: nodes after each pass" "$work/stages" "$work/expected"
}

check_dot() { # name, arguments of graphc
    local name=$1 drawn nodes
    shift
    graphc --dump --format=dot "$@" >"$work/dot" || { fail "$name: graphc --format=dot"; return; }
    command -v dot >/dev/null || { skip "$name: DOT" 'dot (apt-get install graphviz)'; return; }
    dot -Tsvg "$work/dot" >"$work/svg" 2>"$work/err" ||
        { fail "$name: dot: $(head -n 2 "$work/err")"; return; }
    [ ! -s "$work/err" ] || fail "$name: dot warns: $(head -n 2 "$work/err")"
    drawn=$(grep -c 'class="node"' "$work/svg")
    nodes=$(graphc --dump "$@" | awk '/^graph/ { inside = 1 }
        inside && /^  / && !/^  barrier/ { n++ } END { print n }')
    [ "$drawn" = "$nodes" ] || fail "$name: $drawn boxes, $nodes nodes and outputs"
}

# A plan is a listing of its own.
compile "$tiny" -o "$work/tiny.plan" &&
    graphc --dump --format=json "$work/tiny.plan" >"$work/out" 2>"$work/err"
if [ $? != 1 ] || [ -s "$work/out" ] || ! grep -q 'drop --format' "$work/err"; then
    fail "a plan as JSON: $(head -n 1 "$work/err")"
fi
check_json tiny "$tiny"
check_json tinyllama -w shape:tinyllama-1.1b,type=q4_0 examples/models/llama.lua
check_dot tiny "$tiny"
check_dot tinyllama -w shape:tinyllama-1.1b,type=q4_0,layers=4 examples/models/llama.lua
finish
