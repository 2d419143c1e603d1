// Laying a vocabulary out flat. Pieces are laid as the file spells them, because merges name them
// so; byte-level ones are decoded when all merges are known, so that the runtime knows no alphabet.
#include "frontends/tokenizer/vocabulary_maker.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPACE_MARK PIECE_TEXT("\xe2\x96\x81")

bool maker_fail(const VocabularyMaker *maker, const char *format, ...)
{
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return diag_fail(maker->diag, (Where){.file = maker->path}, "%s", message);
}

bool maker_lay_pieces(VocabularyMaker *maker, const PieceText *pieces, int64_t count)
{
    uint64_t total = 0;
    for (int64_t i = 0; i < count; i++)
        total += pieces[i].length;
    if (count <= 0 || count >= INT32_MAX || total > UINT32_MAX)
        return maker_fail(maker, "%" PRId64 " tokens of %" PRIu64 " bytes are not a vocabulary",
                          count, total);
    char *bytes = ARENA_ARRAY(maker->arena, char, total + 1);
    uint32_t *offsets = ARENA_ARRAY(maker->arena, uint32_t, count + 1);
    uint8_t *types = ARENA_ARRAY(maker->arena, uint8_t, count);
    for (int64_t i = 0; i < count; i++) {
        if (pieces[i].length)
            memcpy(bytes + offsets[i], pieces[i].bytes, pieces[i].length);
        offsets[i + 1] = offsets[i] + (uint32_t)pieces[i].length;
    }
    memset(types, PIECE_NORMAL, (size_t)count);
    Vocabulary *vocabulary = maker->vocabulary;
    vocabulary->bytes = bytes;
    vocabulary->offsets = offsets;
    vocabulary->types = types;
    vocabulary->scores = ARENA_ARRAY(maker->arena, float, count);
    vocabulary->count = (int32_t)count;
    vocabulary_build_lookup(vocabulary, maker->arena);
    return true;
}

// A zero byte follows each text, so that there is a byte to point at even for an empty one.
static TextSlice add_bytes(VocabularyMaker *maker, PieceText text)
{
    TextSlice slice = {(uint32_t)maker->step_bytes.count, (uint32_t)text.length};
    for (size_t i = 0; i < text.length; i++)
        vector_push(maker->arena, &maker->step_bytes, text.bytes[i]);
    vector_push(maker->arena, &maker->step_bytes, '\0');
    return slice;
}

void maker_add_step(VocabularyMaker *maker, TextStepKind kind, uint32_t flags, PieceText a,
                    PieceText b)
{
    TextStep step = {.kind = kind, .flags = flags};
    step.a = add_bytes(maker, a);
    step.b = add_bytes(maker, b);
    vector_push(maker->arena, &maker->steps, step);
}

void maker_add_token(VocabularyMaker *maker, int32_t id, uint32_t flags)
{
    vector_push(maker->arena, &maker->added, ((AddedToken){id, flags}));
}

MergeProblem maker_add_merge(VocabularyMaker *maker, PieceText left, PieceText right)
{
    const Vocabulary *vocabulary = maker->vocabulary;
    char small[256], *joint = small;
    size_t length = left.length + right.length;
    if (length > sizeof small)
        joint = arena_alloc(maker->arena, length);
    memcpy(joint, left.bytes, left.length);
    memcpy(joint + left.length, right.bytes, right.length);
    Merge merge = {vocabulary_find(vocabulary, left.bytes, (int64_t)left.length),
                   vocabulary_find(vocabulary, right.bytes, (int64_t)right.length),
                   vocabulary_find(vocabulary, joint, (int64_t)length)};
    if (merge.left == TOKEN_NONE)
        return MERGE_NO_LEFT;
    if (merge.right == TOKEN_NONE)
        return MERGE_NO_RIGHT;
    if (merge.result == TOKEN_NONE)
        return MERGE_NO_RESULT;
    vector_push(maker->arena, &maker->merges, merge);
    return MERGE_GOOD;
}

const char *maker_merge_problem(MergeProblem problem)
{
    static const char *const problems[] = {
        [MERGE_GOOD] = "nothing is wrong",
        [MERGE_NO_LEFT] = "the left half is not a token",
        [MERGE_NO_RIGHT] = "the right half is not a token",
        [MERGE_NO_RESULT] = "what they make is not a token",
    };
    return problems[problem];
}

// GPT-2's alphabet: printable Latin-1 stands for itself, the other 68 bytes, in order, for U+0100
// and on.
static bool is_printable(unsigned byte)
{
    return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

static int alphabet_byte(uint32_t code)
{
    if (code < 0x100)
        return is_printable(code) ? (int)code : -1;
    uint32_t left = code - 0x100;
    for (unsigned byte = 0; byte < 0x100; byte++)
        if (!is_printable(byte) && left-- == 0)
            return (int)byte;
    return -1;
}

int64_t byte_alphabet_decode(const char *piece, size_t length, char *out)
{
    int64_t made = 0;
    for (size_t at = 0; at < length;) {
        uint8_t lead = (uint8_t)piece[at];
        bool two = lead >= 0xc2 && lead <= 0xc5 && at + 1 < length;
        if (lead >= 0x80 && !two)
            return -1;
        uint32_t code = two ? (uint32_t)(lead & 0x1f) << 6 | ((uint8_t)piece[at + 1] & 0x3f) : lead;
        int byte = alphabet_byte(code);
        if (byte < 0)
            return -1;
        out[made++] = (char)byte;
        at += two ? 2 : 1;
    }
    return made;
}

int64_t byte_alphabet_encode(const char *bytes, size_t length, char *out)
{
    int64_t made = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned code = (uint8_t)bytes[i], others = 0;
        for (unsigned byte = 0; byte < code; byte++)
            others += !is_printable(byte);
        code = is_printable(code) ? code : 0x100 + others;
        if (code < 0x80) {
            out[made++] = (char)code;
        } else {
            out[made++] = (char)(0xc0 | code >> 6);
            out[made++] = (char)(0x80 | (code & 0x3f));
        }
    }
    return made;
}

void maker_decode_bytes(VocabularyMaker *maker)
{
    Vocabulary *vocabulary = maker->vocabulary;
    char *bytes = ARENA_ARRAY(maker->arena, char, vocabulary->offsets[vocabulary->count] + 1);
    uint32_t *offsets = ARENA_ARRAY(maker->arena, uint32_t, vocabulary->count + 1);
    uint8_t *types = ARENA_ARRAY(maker->arena, uint8_t, vocabulary->count);
    for (int32_t id = 0; id < vocabulary->count; id++) {
        const char *piece = vocabulary->bytes + vocabulary->offsets[id];
        uint32_t length = vocabulary->offsets[id + 1] - vocabulary->offsets[id];
        int64_t made = -1;
        types[id] = vocabulary->types[id];
        if (types[id] == PIECE_NORMAL)
            made = byte_alphabet_decode(piece, length, bytes + offsets[id]);
        if (made < 0) {
            memcpy(bytes + offsets[id], piece, length);
            types[id] = types[id] == PIECE_NORMAL ? PIECE_UNUSED : types[id];
        }
        offsets[id + 1] = offsets[id] + (made < 0 ? length : (uint32_t)made);
    }
    vocabulary->bytes = bytes;
    vocabulary->offsets = offsets;
    vocabulary->types = types;
    vocabulary->byte_level = true;
    vocabulary_build_lookup(vocabulary, maker->arena);
}

void maker_add_spaces(VocabularyMaker *maker, bool dummy, bool first_only)
{
    if (dummy)
        maker_add_step(maker, TEXT_PREPEND, first_only ? TEXT_FIRST : 0, SPACE_MARK,
                       PIECE_TEXT(""));
    maker_add_step(maker, TEXT_REPLACE, 0, PIECE_TEXT(" "), SPACE_MARK);
}

void maker_add_space_decoder(VocabularyMaker *maker, bool dummy, bool squeezed)
{
    maker_add_step(maker, TEXT_DECODE_REPLACE, 0, SPACE_MARK, PIECE_TEXT(" "));
    if (dummy || squeezed)
        maker_add_step(maker, TEXT_DECODE_STRIP, squeezed ? TEXT_LEFT : 0, SPACE_MARK,
                       PIECE_TEXT(""));
}

void maker_add_end(VocabularyMaker *maker, int32_t id)
{
    Vocabulary *vocabulary = maker->vocabulary;
    for (int32_t i = 0; i < vocabulary->end_count; i++)
        if (vocabulary->ends[i] == id)
            return;
    if (id != TOKEN_NONE && vocabulary->end_count < VOCABULARY_END_MAX)
        vocabulary->ends[vocabulary->end_count++] = id;
}

void maker_add_known_ends(VocabularyMaker *maker)
{
    static const char *const known[] = {
        "<|im_end|>",      "<|eot_id|>",    "<|eom_id|>",    "<|end|>",
        "<|end_of_text|>", "<end_of_turn>", "<|endoftext|>", "<|end_of_turn|>",
        "<|eot|>",         "<EOT>",         "</s>",
    };
    _Static_assert(sizeof known / sizeof *known + 3 <= VOCABULARY_END_MAX, "no end is dropped");
    const Vocabulary *vocabulary = maker->vocabulary;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        int32_t id = vocabulary_find(vocabulary, known[i], (int64_t)strlen(known[i]));
        if (id != TOKEN_NONE &&
            (vocabulary->types[id] == PIECE_CONTROL || vocabulary->types[id] == PIECE_USER))
            maker_add_end(maker, id);
    }
}

static int compare_added(const void *left, const void *right)
{
    const AddedToken *a = left, *b = right;
    return (a->id > b->id) - (a->id < b->id);
}

void maker_finish(VocabularyMaker *maker)
{
    Vocabulary *vocabulary = maker->vocabulary;
    if (maker->added.count)
        qsort(maker->added.items, (size_t)maker->added.count, sizeof *maker->added.items,
              compare_added);
    vocabulary->added = maker->added.items;
    vocabulary->added_count = maker->added.count;
    vocabulary->steps = maker->steps.items;
    vocabulary->step_count = maker->steps.count;
    vocabulary->step_bytes = maker->step_bytes.items;
    vocabulary->step_byte_count = (uint32_t)maker->step_bytes.count;
    vocabulary->merges = maker->merges.items;
    vocabulary->merge_count = maker->merges.count;
    vocabulary_build_lookup(vocabulary, maker->arena);
}
