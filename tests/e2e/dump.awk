# Reads a planned module as graphc prints it and checks one graph (-v graph=decode -v layers=N), by its
# own reading of the text: the form of each line, how many of each op, and the memory plan: lifetimes are
# counted again from operands and barriers, no two values alive at once share bytes, the peak is within
# 2 % of the largest sum alive. Prints what is wrong, a line each, or `steps N peak N bound N`.
function hex(text,    i, value) {
    text = tolower(text)
    sub(/^0x/, "", text)
    for (i = 1; i <= length(text); i++)
        value = value * 16 + index("0123456789abcdef", substr(text, i, 1)) - 1
    return value
}
function wrong(what) {
    print "@" graph ": " what
    bad = 1
}
function aligned(bytes) { return int((bytes + 63) / 64) * 64 }
# A value is read or written in this epoch.
function touch(number,    root) {
    if (!(number in root_of))
        return wrong("%" number " is used before it is made: " $0)
    root = root_of[number]
    if (root && last[root] < epoch)
        last[root] = epoch
}
# One result: its place is `@act+OFFSET:BYTES` (or own), `@act+OFFSET[:BYTES]=%ALIAS` or `@io+N:BYTES`.
function result(number, type,    place, parts, offset) {
    if (split(type, parts, " ") != 2 ||
        parts[2] !~ /^@(act|own)\+0x[0-9a-f]+(:0x[0-9a-f]+)?(=%[0-9]+)?$|^@io\+[0-9]+:0x[0-9a-f]+$/)
        return wrong("no type with a place: " type)
    if (parts[1] !~ /^[a-z0-9_]+\[[^ \]]*\](\{[a-z0-9]+\})?$/)
        wrong("not a type: " parts[1])
    root_of[number] = 0
    place = parts[2]
    if (place ~ /^@io/)
        return
    sub(/^@(act|own)\+/, "", place)
    split(place, parts, /[:=]/)
    offset = hex(parts[1])
    if (place ~ /=%/) {
        sub(/.*=%/, "", place)
        root_of[number] = root_of[place]
        if (from[root_of[place]] != offset)
            wrong("%" number " is not where %" place " is")
        touch(number)
        return
    }
    root_of[number] = number
    order[++blocks] = number
    from[number] = offset
    size[number] = aligned(hex(parts[2]))
    first[number] = last[number] = epoch
}
/^graph @/ {
    if ($0 !~ /^graph @[a-z]+[a-z0-9_]* T<=[0-9]+ act=0x[0-9a-f]+ bound=0x[0-9a-f]+ \{$/)
        wrong("not a graph line: " $0)
    inside = $2 == "@" graph
    if (inside) {
        seen = 1
        match($0, /act=0x[0-9a-f]+/)
        said_peak = hex(substr($0, RSTART + 4, RLENGTH - 4))
        match($0, /bound=0x[0-9a-f]+/)
        said_bound = hex(substr($0, RSTART + 6, RLENGTH - 6))
    }
    next
}
/^}/ { inside = 0 }
!inside { next }
/^  barrier$/ { epoch++; next }
/^  output "/ {
    if (match($0, /= %[0-9]+/))
        touch(substr($0, RSTART + 3, RLENGTH - 3))
    next
}
{
    if ($0 !~ /^  (%[^ ]+(, %[^ ]+)* : .* = )?[a-z_]+ .*![a-z0-9_.]+( loc\(.*\))?$/) {
        wrong("not a node line: " $0)
        next
    }
    steps++
    line = $0
    sub(/ !.*/, "", line)
    if (match(line, / = /)) {
        left = substr(line, 3, RSTART - 3)
        line = substr(line, RSTART + 3)
    } else {
        left = ""
    }
    sub(/^ */, "", line)
    words = split(line, word, " ")
    count[word[1]]++
    # Operands are alive in this epoch, before an alias prolongs them.
    for (i = 2; i <= words; i++) {
        sub(/,$/, "", word[i])
        if (word[i] ~ /^%[0-9]+$/)
            touch(substr(word[i], 2))
    }
    if (left != "") {
        middle = index(left, " : ")
        names = split(substr(left, 1, middle - 1), name, ", ")
        types = split(substr(left, middle + 3), type, ", ")
        if (names != types)
            wrong("as many types as results: " $0)
        for (i = 1; i <= names; i++) {
            number = substr(name[i], 2)
            sub(/".*/, "", number)
            result(number, type[i])
        }
    }
}
function expect(what, got, wanted) {
    if (got != wanted)
        wrong(got + 0 " " what ", expected " wanted)
}
END {
    if (!seen) {
        wrong("is missing")
        exit 1
    }
    for (op in count)
        if (op ~ /^rope_qk/)
            ropes += count[op]
    expect("add_rms_norm", count["add_rms_norm"], 2 * layers)
    expect("rope_qk…", ropes, layers)
    expect("attention", count["attention"], layers)
    expect("matmul", count["matmul"], 4 * layers + 1)
    for (i = 1; i <= blocks; i++) {
        a = order[i]
        if (from[a] + size[a] > peak)
            peak = from[a] + size[a]
        for (e = first[a]; e <= last[a]; e++)
            alive[e] += size[a]
        for (j = i + 1; j <= blocks; j++) {
            b = order[j]
            if (first[a] <= last[b] && first[b] <= last[a] && from[a] < from[b] + size[b] &&
                from[b] < from[a] + size[a])
                wrong("%" a " and %" b " are alive at once and share bytes")
        }
    }
    for (e = 0; e <= epoch; e++)
        if (alive[e] > bound)
            bound = alive[e]
    if (peak > bound * 1.02)
        wrong("peak " peak " is more than 2 % above the lower bound " bound)
    if (said_peak != peak)
        wrong("act=" said_peak ", but the places end at " peak)
    if (said_bound != bound)
        wrong("bound=" said_bound ", but the lifetimes give " bound)
    if (!bad)
        print "steps", steps, "peak", peak, "bound", bound
    exit bad
}
