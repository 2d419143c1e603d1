#!/usr/bin/env bash
# What the tree promises about itself, without running it: tests/lint.sh [CHECK...], all by default.
#
#   layers  which folder may include which        link    graphrun has no compiler in it
#   text    length, tabs, leftovers of writing    top     nothing else at the top level
#   format  clang-format (warns)                  static  cppcheck, shellcheck
#
# Each finding is a line `file:line: what`; any but a warning makes the exit status 1.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2
export LC_ALL=C.UTF-8
findings=0

# Passes on lines of findings and remembers that there were some.
report() {
    local lines
    lines=$(cat)
    [ -n "$lines" ] || return 0
    printf '%s\n' "$lines"
    findings=$((findings + $(wc -l <<<"$lines")))
}

# Files of the repository, or, in an unpacked archive, of the folder.
tree() {
    git ls-files -co --exclude-standard 2>/dev/null | while IFS= read -r file; do
        [ ! -e "$file" ] || printf '%s\n' "$file"
    done
    [ "${PIPESTATUS[0]}" = 0 ] ||
        find . -type f -not -path './build*' -not -path './.git/*' -not -name '*.plan' | cut -c3-
}
files=$(tree | sort)
matching() { # extended regular expression over file names
    grep -E "$1" <<<"$files" || true
}

# --- layers, link

# folder of the file -> what it may include, as the start of the path
layers() {
    matching '^(graph|kernels|passes|runtime|frontends)/.*\.(c|h|def)$' | xargs -r awk '
        BEGIN {
            may["graph/base"] = "graph/base/"
            may["graph"] = "graph/"
            may["kernels"] = "kernels/ graph/base/"
            may["runtime"] = "runtime/ kernels/ graph/base/"
            may["passes"] = "passes/ graph/ kernels/ runtime/plan.h"
            may["frontends"] = "frontends/ graph/"
        }
        /^[ \t]*#[ \t]*include[ \t]*"/ {
            split($0, quoted, "\"")
            folder = FILENAME
            sub(FILENAME ~ /^graph\/base\// ? "/[^/]*$" : "/.*", "", folder)
            count = split(may[folder], allowed, " ")
            for (i = 1; i <= count; i++)
                if (index(quoted[2], allowed[i]) == 1)
                    next
            print FILENAME ":" FNR ": " folder " may not include " quoted[2]
        }' | report
}

# The objects on graphrun's own link line, as make would run it.
link() {
    local objects
    objects=$(make -nB V=1 BUILD=build build/graphrun 2>/dev/null |
        grep -E -- ' -o build/graphrun( |$)' | tr ' ' '\n' | grep '\.o$')
    if [ -z "$objects" ]; then
        echo "Makefile: cannot see how graphrun is linked" | report
        return
    fi
    grep -vE '^build/(graph/base|kernels|runtime|tools)/' <<<"$objects" |
        sed 's/.*/Makefile: graphrun links &/' | report
}

# --- text

# findings of a grep as `file:line: what`
seek() { # what, file name expression, grep option, expression
    matching "$2" | xargs -r grep -nH "$3" -- "$4" 2>/dev/null |
        sed -E "s/^([^:]*:[0-9]+):.*/\1: $1/" | report
}

text() {
    local source='\.(c|h|def|lua|sh|py)$|^Makefile$|^\.ci/' c='\.(c|h|def)$' host statement
    matching "$source" | xargs -r wc -l |
        awk '$2 != "total" && $1 > 800 { print $2 ": " $1 " lines" }' | report
    seek 'longer than 100 columns' '\.(c|h|def|lua|sh|py)$' -P '^.{101}'
    seek 'tab' '\.(c|h|def|lua|sh|py)$' -P '\t'
    seek 'space at the end' '\.(c|h|def|lua|sh|py|md|ir)$|^Makefile$' -P '[ \t]+$'
    seek 'note to self' "$source|\.md$" -P '\b(TOD[O]|FIXM[E]|XX[X])\b'
    # A comment whose whole text is a statement. Formulas, which have no semicolon, are fine.
    statement='(return\b[^.]*|[\w>.\[\]\-*]+ [-+*\/|&]?= .*|\w+\(.*\)|(break|continue|goto \w+));'
    statement+='|(if|for|while|switch) \(.*\) ?[{;]|\}|#(include|define|ifn?def|endif)\b.*'
    seek 'commented-out code' "$c" -P "^\s*//\s*($statement)\s*$"
    seek 'commented-out code' '\.lua$' -P '^\s*--\s*(local \w+ = .*|end|if .* then|for .* do)\s*$'
    seek 'path of one machine' '.' -IP '(?<![\w.])/(wor[k]|roo[t]|hom[e])/'
    host=$(hostname 2>/dev/null)
    [[ ! $host =~ [0-9-] ]] || seek 'name of this machine' '.' -IwF "$host"
    tr '\n' '\0' <<<"$files" | xargs -0 -r stat -c '%s %n' |
        awk '$1 > 4 * 1024 * 1024 { print $2 ": larger than 4 MiB" }' | report
}

top() {
    local folder
    cut -d/ -f1 <<<"$files" | sort -u | grep -vxE '\..*|Makefile|README\.md|CHANGELOG\.md|LICENSE' |
        grep -vxE 'graph|passes|runtime|frontends|kernels|tests|examples|tools' |
        sed 's/$/: does not belong at the top level/' | report
    for folder in graph passes runtime frontends kernels tests examples tools; do
        [ -e "$folder/README.md" ] || echo "$folder: has no README.md"
    done | report
}

# --- other people's tools

absent() {
    echo "warning: no $1: $2 not checked"
}

format() {
    local count
    command -v clang-format >/dev/null || { absent clang-format format && return; }
    count=$(matching '\.[ch]$' | xargs -r clang-format --dry-run 2>&1 |
        grep -a 'warning:' | cut -d: -f1 | sort -u | wc -l)
    [ "$count" = 0 ] || echo "warning: $count files differ from make fmt"
}

static() {
    if command -v cppcheck >/dev/null; then
        matching '\.c$' | xargs -r cppcheck --quiet -j "$(nproc)" --std=c11 --language=c -I. \
            --enable=warning,portability,performance --inline-suppr --error-exitcode=0 \
            --suppressions-list=tests/cppcheck.txt \
            --template='{file}:{line}: {id}: {message}' 2>&1 |
            grep -E '^[a-z].*:[0-9]+: ' | report
    else
        absent cppcheck 'C sources'
    fi
    if command -v shellcheck >/dev/null; then
        matching '\.(sh|bash)$|^\.ci/run$' | xargs -r shellcheck -x -S warning -f gcc | report
    else
        absent shellcheck scripts
    fi
}

[ $# -gt 0 ] || set -- layers link text top format static
for check; do
    case $check in
    layers | link | text | top | format | static) $check ;;
    *)
        echo "error: no check $check" >&2
        exit 2
        ;;
    esac
done
[ $findings = 0 ] || echo "lint: $findings findings" >&2
[ $findings = 0 ]
