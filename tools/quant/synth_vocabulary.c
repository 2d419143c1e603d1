// A vocabulary that nobody learnt: letters, then pieces that each join two earlier ones, first
// those of frequent English words so that text falls into words and syllables, then random joints
// until there are enough. It is written as SentencePiece's scores for llama, as byte-level merges
// for qwen2; either way every piece can be reached, and the order of joints is their rank.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "frontends/tokenizer/vocabulary_maker.h"
#include "runtime/sample.h"
#include "tools/quant/synth.h"

static const char frequent_words[] =
    "the in an on er re and ing he of to is it at or en es ed ion ent for was that with his her as "
    "are they one you all this have not had but be from were said she there when out up them then "
    "some what would like time little him will could into your about other their which more very "
    "two has do day see how its who did get made may part over new after once upon girl boy big "
    "play happy friend mom dog tree went saw day good know look want back down only many water "
    "long people way ation ness able ment less ful ous ive ally tion com con pro pre";

enum { PIECE_BYTES_MAX = 16, LETTERS = 26, ALPHABET = 95, SPACES_MARK = 3 };

typedef struct Growth {
    Arena *arena;
    const char *space;          // as pieces spell it
    Vector(const char *) texts; // NUL-terminated; joints after `letters` others
    NameIndex index;
    Vector(Merge) joints; // numbers in texts
    int64_t wanted;
} Growth;

static int32_t find_text(const Growth *growth, const char *text)
{
    return (int32_t)name_index_find(&growth->index, text);
}

static int32_t add_text(Growth *growth, const char *text)
{
    int32_t number = growth->texts.count;
    name_index_append(growth->arena, &growth->index, text, number);
    vector_push(growth->arena, &growth->texts, text);
    return number;
}

// The number of the joint, made if it is new and there is room.
static int32_t join(Growth *growth, int32_t left, int32_t right)
{
    const char *text =
        arena_format(growth->arena, "%s%s", growth->texts.items[left], growth->texts.items[right]);
    int32_t known = find_text(growth, text);
    if (known >= 0 || growth->joints.count >= growth->wanted || strlen(text) > PIECE_BYTES_MAX)
        return known;
    Merge joint = {left, right, add_text(growth, text)};
    vector_push(growth->arena, &growth->joints, joint);
    return joint.result;
}

// The word letter by letter, and the whole after a space.
static void join_word(Growth *growth, const char *word, int length)
{
    int32_t piece = -1;
    for (int i = 0; i < length; i++) {
        int32_t letter = find_text(growth, (char[]){word[i], 0});
        piece = i ? join(growth, piece, letter) : letter;
        if (piece < 0)
            return;
    }
    join(growth, find_text(growth, growth->space), piece);
}

// Earlier pieces are likelier. Spaces stand at the beginning of a piece only.
static void join_at_random(Growth *growth, int32_t first, Random *random)
{
    int64_t count = growth->texts.count - first;
    double one = random_fraction(random_next(random)), other = random_fraction(random_next(random));
    int32_t left = first + (int32_t)(one * one * (double)count);
    int32_t right = first + (int32_t)(other * other * (double)count);
    if (strncmp(growth->texts.items[right], growth->space, strlen(growth->space)) != 0)
        join(growth, left, right);
}

// The alphabet: what is no letter, the space, then the letters, from which random joints are made.
static void grow(Growth *growth)
{
    Random random = random_seed(20);
    for (char c = '!'; c <= '~'; c++)
        if (c < 'a' || c > 'z')
            add_text(growth, arena_format(growth->arena, "%c", c));
    int32_t first = add_text(growth, growth->space);
    for (char c = 'a'; c <= 'z'; c++)
        add_text(growth, arena_format(growth->arena, "%c", c));
    for (const char *word = frequent_words; *word;) {
        int length = (int)strcspn(word, " ");
        join_word(growth, word, length);
        word += length + (word[length] != 0);
    }
    while (growth->joints.count < growth->wanted)
        join_at_random(growth, first, &random);
}

// --- what surrounds the joints

typedef struct Draft {
    VocabularyMaker maker;
    Growth growth;
    Vector(PieceText) pieces;
} Draft;

static void put_text(Draft *draft, const char *text)
{
    PieceText piece = {text, strlen(text)};
    vector_push(draft->maker.arena, &draft->pieces, piece);
}

static bool lay(Draft *draft)
{
    return maker_lay_pieces(&draft->maker, draft->pieces.items, draft->pieces.count);
}

static void set_types(Vocabulary *vocabulary, int32_t first, int32_t count, PieceType type)
{
    memset((uint8_t *)(uintptr_t)vocabulary->types + first, (int)type, (size_t)count);
}

// <unk> <s> </s>, 256 bytes, the alphabet, the joints, whose score is their rank below 0.
static bool make_scores(Draft *draft, int64_t count)
{
    enum { CONTROLS = 3, BYTES = 256 };
    Vocabulary *vocabulary = draft->maker.vocabulary;
    Growth *growth = &draft->growth;
    growth->space = "\xe2\x96\x81";
    growth->wanted = count - CONTROLS - BYTES - ALPHABET;
    grow(growth);
    put_text(draft, "<unk>");
    put_text(draft, "<s>");
    put_text(draft, "</s>");
    for (int byte = 0; byte < BYTES; byte++)
        put_text(draft, arena_format(draft->maker.arena, "<0x%02X>", byte));
    for (int32_t i = 0; i < growth->texts.count; i++)
        put_text(draft, growth->texts.items[i]);
    if (!lay(draft))
        return false;
    float *scores = (float *)(uintptr_t)vocabulary->scores;
    for (int32_t i = 0; i < growth->joints.count; i++)
        scores[CONTROLS + BYTES + growth->joints.items[i].result] = (float)-i;
    set_types(vocabulary, 0, 1, PIECE_UNKNOWN);
    set_types(vocabulary, 1, 2, PIECE_CONTROL);
    set_types(vocabulary, CONTROLS, BYTES, PIECE_BYTE);
    vocabulary->kind = VOCABULARY_SCORES;
    vocabulary->unknown = 0;
    vocabulary->bos = 1;
    vocabulary->eos = 2;
    vocabulary->add_bos = true;
    maker_add_spaces(&draft->maker, true, true);
    return true;
}

// 256 bytes, the joints, three special pieces; the embedding has more rows, as qwen2's has.
static bool make_merges(Draft *draft, int64_t count)
{
    enum { BYTES = 256, CONTROLS = 3 };
    Vocabulary *vocabulary = draft->maker.vocabulary;
    Growth *growth = &draft->growth;
    char *bytes = arena_alloc(draft->maker.arena, BYTES);
    growth->space = " ";
    growth->wanted = count - count / 512 - 2 * CONTROLS - BYTES;
    grow(growth);
    for (int byte = 0; byte < BYTES; byte++) {
        bytes[byte] = (char)byte;
        PieceText piece = {bytes + byte, 1};
        vector_push(draft->maker.arena, &draft->pieces, piece);
    }
    for (int32_t i = ALPHABET; i < growth->texts.count; i++)
        put_text(draft, growth->texts.items[i]);
    int32_t special = draft->pieces.count;
    put_text(draft, "<|endoftext|>");
    put_text(draft, "<|im_start|>");
    put_text(draft, "<|im_end|>");
    if (!lay(draft))
        return false;
    for (int32_t i = 0; i < growth->joints.count; i++) {
        const char *left = growth->texts.items[growth->joints.items[i].left];
        const char *right = growth->texts.items[growth->joints.items[i].right];
        maker_add_merge(&draft->maker, (PieceText){left, strlen(left)},
                        (PieceText){right, strlen(right)});
    }
    set_types(vocabulary, special, CONTROLS, PIECE_CONTROL);
    for (int32_t i = 0; i < CONTROLS; i++)
        maker_add_token(&draft->maker, special + i, ADDED_SPECIAL);
    vocabulary->kind = VOCABULARY_MERGES;
    vocabulary->byte_level = true;
    vocabulary->pre_tokenizer = "qwen2";
    vocabulary->eos = vocabulary->padding = special;
    return true;
}

bool synth_make_vocabulary(ModelFile *model, int64_t count, Arena *arena, Diag *diag)
{
    enum { LEAST = 1024 };
    Draft draft = {.maker = {.vocabulary = &model->vocabulary,
                             .arena = arena,
                             .diag = diag,
                             .path = model->path},
                   .growth = {.arena = arena}};
    Vocabulary *vocabulary = &model->vocabulary;
    if (count < LEAST)
        return diag_fail(diag, (Where){.file = model->path},
                         "a vocabulary of %" PRId64 " pieces; at least %d were expected", count,
                         LEAST);
    *vocabulary = (Vocabulary){.bos = TOKEN_NONE,
                               .eos = TOKEN_NONE,
                               .unknown = TOKEN_NONE,
                               .padding = TOKEN_NONE,
                               .pre_tokenizer = "",
                               .chat_template = ""};
    draft.growth.index = name_index_new(arena, count);
    bool bytes = strcmp(model->architecture, "qwen2") == 0;
    if (bytes ? !make_merges(&draft, count) : !make_scores(&draft, count))
        return false;
    maker_finish(&draft.maker);
    model->has_vocabulary = true;
    return true;
}
