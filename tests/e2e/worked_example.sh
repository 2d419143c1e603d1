#!/usr/bin/env bash
# The rule that passes/README.md adds as its example: what stands there is put into a copy of the
# tree, which builds, and the example's golden cases pass there. Without the rule they do not.
. tests/e2e/common.bash

# The text in the fence below the line that names the file, within "Adding a rule".
shown() { # file
    awk -v name="\`$1\`" '
        /^## / { inside = $0 == "## Adding a rule" }
        !inside { next }
        /^```/ { fence = !fence; if (!fence) named = 0; next }
        fence { if (named) print; next }
        index($0, name) { named = 1; next }
        NF { named = 0 }' passes/README.md
}

rule=$(shown passes/rules.def | sed -nE 's/^RULE\(simplify, ([a-z_]+), .*/\1/p')
[ -n "$rule" ] || { fail 'passes/README.md shows no row of rules.def'; finish; }
! grep -q "^RULE([a-z_]*, $rule," passes/rules.def ||
    { fail "$rule is no example: the tree has it"; finish; }

# --- the copy, which begins with the build's objects: only what reads rules.def is made again

tree=$work/tree
mkdir -p "$tree/build" "$tree/tests/passes/simplify"
cp -a Makefile graph kernels passes runtime frontends tools "$tree"
cp -a tests/run.sh tests/setup.sh "$tree/tests"
for folder in flags graph kernels passes runtime frontends tools; do
    cp -a "$BUILD/$folder" "$tree/build"
done
shown passes/rules.def >>"$tree/passes/rules.def"
{ echo && shown passes/simplify.c; } >>"$tree/passes/simplify.c"
cases=0
while read -r file; do
    shown "$file" >"$tree/$file"
    [ -s "$tree/$file" ] || fail "$file: nothing is shown"
    [[ $file != *.ir ]] || cases=$((cases + 1))
done < <(grep -oE "tests/passes/simplify/${rule}_[a-z_]+\.(ir|txt)" passes/README.md)
[ $cases -ge 2 ] || fail "only $cases golden cases"

golden() { # BUILD
    (cd "$tree" && env -u ONLY BUILD="$1" tests/run.sh golden) >"$work/golden" 2>&1
}
if golden "$BUILD" || ! grep -q "^0 passed, $cases failed" "$work/golden"; then
    fail "without the rule: $(tail -n 1 "$work/golden")"
fi
read -r compiler _ <"$BUILD/flags"
if env -u MAKEFLAGS -u MAKELEVEL make -C "$tree" -j2 CC="$compiler" BUILD=build build/graphc \
    >"$work/make" 2>&1; then
    golden build || fail "$(grep -A 12 -m 1 FAIL "$work/golden")"
    grep -q "^$cases passed, 0 failed" "$work/golden" || fail "$(tail -n 1 "$work/golden")"
    grep -q "$rule: m.lua:[0-9]*: fired" "$tree/tests/passes/simplify/${rule}_fires.txt" ||
        fail "$rule is not shown to fire"
else
    fail "it does not build: $(grep -m 3 -E 'error|Error' "$work/make")"
fi
[ "$(grep -c '^CC ' "$work/make")" -lt 20 ] || fail 'the whole tree was made again'
finish
