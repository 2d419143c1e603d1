#!/usr/bin/env bash
# The page of --format=html: one file that asks nothing of a network, whose data is JSON, and, in a
# browser, draws every node of every stage and survives a click on everything, without an error.
. tests/e2e/common.bash

page() { # arguments of graphc: leaves the page in $work/page.html
    graphc --dump --format=html "$@" >"$work/page.html" 2>"$work/err" ||
        { fail "graphc --dump --format=html $*: $(head -n 3 "$work/err")"; return 1; }
}

# The only address in the page is the name of SVG.
stands_alone() { # name
    local found
    found=$(grep -oE '(https?:)?//[a-z0-9.-]+\.[a-z]+/[^"'\'' )]*|src=|href=|@import|url\(' \
        "$work/page.html" | grep -vxF 'http://www.w3.org/2000/svg' | head -n 3)
    [ -z "$found" ] || fail "$1: the page asks for $found"
    [ "$(grep -c '</script>' "$work/page.html")" = 2 ] || fail "$1: data ends a script"
}

# In the page after all else: goes through every stage, phase and view, clicks every node, value,
# script line and layer button, and says what it saw: nodes with a kernel tell their cost, and the
# shares of a phase make up (rounded to 5) the whole.
clicks='<script>
const click = element => element.dispatchEvent(new MouseEvent("click"));
const named = (id, text) => [...byId(id).children].find(b => b.textContent.startsWith(text));
let missing = 0, clicked = 0, uncosted = 0, share = 0;
for (let i = 0; i <= last; i++) {
  click(byId("stages").children[i]);
  const graphs = data.stages[i].module.graphs;
  for (const graph of graphs) {
    click(named("tools", "@" + graph.name));
    for (const view of ["memory", "weights", "graph"]) click(named("tools", view));
    if (!state.all) click(named("tools", "every layer"));
    missing += Math.abs(graph.nodes.length - document.querySelectorAll("[data-node]").length);
    go({node: -1});
    share = 0;
    for (const node of document.querySelectorAll("[data-node]")) {
      click(node);
      const cost = /modelled on one thread.*: ([0-9.]+) % of @/.exec(byId("node").textContent);
      uncosted += Boolean(cost) === Boolean(graph.nodes[0].kernel) ? 0 : 1;
      share += cost ? Number(cost[1]) : 0;
    }
    click(named("tools", "every layer"));
    for (const node of document.querySelectorAll(".node, section button")) {
      click(node);
      clicked++;
    }
  }
  for (const line of document.querySelectorAll(".used")) { click(line); clicked++; }
}
click(named("tools", "memory"));
const values = document.querySelectorAll(".life").length;
document.body.dataset.test = `missing ${missing} values ${values} stages ${last + 1} ` +
  `uncosted ${uncosted} share ${Math.round(share / 5) * 5}`;
document.body.dataset.clicked = clicked;
</script>'

browse() { # page, leaves the DOM in $work/dom
    local sandbox=()
    [ "$(id -u)" != 0 ] || sandbox=(--no-sandbox)
    timeout 120 "$browser" --headless "${sandbox[@]}" --disable-gpu --disable-dev-shm-usage \
        --disable-ipc-flooding-protection --user-data-dir="$work/profile" --enable-logging=stderr \
        --virtual-time-budget=10000 --dump-dom "file://$1" >"$work/dom" 2>"$work/log" ||
        { fail "$browser ended with $?: $(tail -n 2 "$work/log")"; return 1; }
    ! grep -a 'CONSOLE' "$work/log" >"$work/console" || fail "console: $(head -n 2 "$work/console")"
}

of_body() { # attribute: its value on the page's body
    grep -oE '<body[^>]*>' "$work/dom" | sed -nE "s/.* data-$1=\"([^\"]*)\".*/\1/p"
}

check_page() { # name, arguments of graphc
    local name=$1 nodes
    shift
    page "$@" || return
    stands_alone "$name"
    [ -n "$browser" ] || return
    graphc --dump "$@" >"$work/text"
    nodes=$(awk '/^graph/ { inside++ } inside == 1 && / loc\(/ { n++ }
        END { print n }' "$work/text")
    browse "$work/page.html" || return
    [ "$(of_body nodes)" = "$nodes" ] || fail "$name: $(of_body nodes) nodes, the text has $nodes"
    [ "$(of_body shown)" -gt 0 ] 2>"$work/err" || fail "$name: the page shows no node"
}

# After check_page, with the same arguments. A click takes milliseconds: for small models.
check_clicks() { # name, arguments of graphc
    local name=$1 stages values
    shift
    [ -n "$browser" ] || return
    stages=$(($(graphc --dump=changed "$@" | grep -c '^; after') + 1))
    { cat "$work/page.html" && echo "$clicks"; } >"$work/clicks.html"
    browse "$work/clicks.html" || return
    values=$(awk '/^graph @prefill/ { inside = 1 } inside && !/^ *output/ {
        n += gsub(/@(act|own)\+/, "") } END { print n }' "$work/text")
    [ "$(of_body test)" = "missing 0 values $values stages $stages uncosted 0 share 100" ] ||
        fail "$name: after all clicks: $(of_body test), expected values $values stages $stages"
    [ "$(of_body clicked)" -gt 100 ] 2>"$work/err" || fail "$name: only $(of_body clicked) clicks"
}

browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
[ -n "$browser" ] || skip 'the page in a browser' 'chromium (apt-get install chromium)'
check_page tiny "$tiny"
check_clicks tiny "$tiny"
[ -z "$browser" ] || grep -q 'local blocks' "$work/dom" || fail 'the script is not shown'
check_page tinyllama -w shape:tinyllama-1.1b,type=q4_0 examples/models/llama.lua
bytes=$(stat -c %s "$work/page.html")
[ "$bytes" -lt 4000000 ] || fail "$bytes bytes for 22 layers, less than 4 MB promised"
{ cat examples/models/llama.lua && echo '-- </script><!-- <script>'; } >"$work/llama.lua"
check_page 'a script that looks like HTML' -w shape:tinyllama-1.1b,layers=2 "$work/llama.lua"
page tests/ir/planned.ir && stands_alone 'graph text'
[ -z "$browser" ] || { browse "$work/page.html" &&
    { [ "$(of_body shown)" = 3 ] || fail "graph text: $(of_body shown) nodes shown, not 3"; }; }
finish
