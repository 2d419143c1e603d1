// The tokenizer against the vectors of others, and each rule of its own against a vocabulary small
// enough to work out by hand.
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontends/model_file.h"
#include "graph/base/text.h"
#include "runtime/text/text_stream.h"
#include "runtime/text/tokenizer.h"
#include "runtime/text/utf8.h"
#include "tests/unit/run_suite.h"

static const EncodeOptions plain = {false, false};
static const EncodeOptions parsing = {false, true};

typedef struct Row {
    const char *piece;
    float score;
    PieceType type;
} Row;

#define S UTF8_SPACE
static const Row small_rows[] = {
    {"<unk>", 0, PIECE_UNKNOWN},  // 0
    {"<s>", 0, PIECE_CONTROL},    // 1
    {"</s>", 0, PIECE_CONTROL},   // 2
    {"<0x0A>", 0, PIECE_BYTE},    // 3
    {"<0xC3>", 0, PIECE_BYTE},    // 4
    {"<0xA9>", 0, PIECE_BYTE},    // 5
    {S, -9, PIECE_NORMAL},        // 6
    {"a", -9, PIECE_NORMAL},      // 7
    {"b", -9, PIECE_NORMAL},      // 8
    {"c", -9, PIECE_NORMAL},      // 9
    {"ab", -2, PIECE_NORMAL},     // 10
    {"bc", -1, PIECE_NORMAL},     // 11
    {"aa", -3, PIECE_NORMAL},     // 12
    {S "a", -4, PIECE_NORMAL},    // 13
    {"<", -9, PIECE_NORMAL},      // 14
    {"s>", -9, PIECE_NORMAL},     // 15
    {"s", -9, PIECE_NORMAL},      // 16
    {">", -9, PIECE_NORMAL},      // 17
    {"xab", 0, PIECE_USER},       // 18
    {"abcd", 0, PIECE_USER},      // 19
    {"x", -9, PIECE_NORMAL},      // 20
    {"d", -9, PIECE_NORMAL},      // 21
    {"<s", -10, PIECE_NORMAL},    // 22
    {"<0x0A)", -9, PIECE_NORMAL}, // 23
    {"<0x0a>", -9, PIECE_NORMAL}, // 24
};
enum { SMALL_COUNT = sizeof small_rows / sizeof small_rows[0] };

static Arena arena;
static Vocabulary small;

// Spaces as SentencePiece writes them, with the dummy one before the text or without.
static const TextStep space_steps[] = {
    {TEXT_PREPEND, 0, {0, 3}, {0, 0}},
    {TEXT_REPLACE, 0, {3, 1}, {0, 3}},
    {TEXT_DECODE_REPLACE, 0, {0, 3}, {3, 1}},
    {TEXT_DECODE_STRIP, 0, {0, 3}, {0, 0}},
};
static const AddedToken small_added[] = {
    {0, ADDED_SPECIAL}, {1, ADDED_SPECIAL}, {2, ADDED_SPECIAL}, {18, 0}, {19, 0}};

static void use_space_prefix(bool wanted)
{
    small.steps = wanted ? space_steps : space_steps + 1;
    small.step_count = wanted ? 4 : 2;
}

static void make_small(void)
{
    Text bytes = {0};
    uint32_t *offsets = ARENA_ARRAY(&arena, uint32_t, SMALL_COUNT + 1);
    float *scores = ARENA_ARRAY(&arena, float, SMALL_COUNT);
    uint8_t *types = ARENA_ARRAY(&arena, uint8_t, SMALL_COUNT);
    for (int i = 0; i < SMALL_COUNT; i++) {
        text_append(&bytes, small_rows[i].piece, strlen(small_rows[i].piece));
        offsets[i + 1] = (uint32_t)bytes.length;
        scores[i] = small_rows[i].score;
        types[i] = (uint8_t)small_rows[i].type;
    }
    small = (Vocabulary){.kind = VOCABULARY_SCORES,
                         .count = SMALL_COUNT,
                         .offsets = offsets,
                         .scores = scores,
                         .types = types,
                         .step_bytes = S " ",
                         .step_byte_count = 4,
                         .added = small_added,
                         .added_count = sizeof small_added / sizeof *small_added,
                         .bos = 1,
                         .eos = 2,
                         .unknown = 0,
                         .padding = TOKEN_NONE,
                         .add_bos = true,
                         .pre_tokenizer = "",
                         .chat_template = ""};
    small.bytes = arena_copy_text(&arena, bytes.bytes, bytes.length);
    text_free(&bytes);
    vocabulary_build_lookup(&small, &arena);
    use_space_prefix(false);
}

static void drop_small(void)
{
    arena_free(&arena);
}

static Tokenizer *open_tokenizer(const Vocabulary *vocabulary)
{
    Diag diag = {0};
    Tokenizer *tokenizer = tokenizer_new(vocabulary, &diag);
    ck_assert_msg(tokenizer != NULL, "%s", diag.message);
    return tokenizer;
}

static void expect_list(const TokenList *list, const int32_t *ids, int64_t count, const char *what)
{
    Text got = {0}, wanted = {0};
    text_print(&got, "%s:", what);
    text_print(&wanted, "%s:", what);
    for (int64_t i = 0; i < list->count; i++)
        text_print(&got, " %d", list->ids[i]);
    for (int64_t i = 0; i < count; i++)
        text_print(&wanted, " %d", ids[i]);
    ck_assert_str_eq(got.bytes, wanted.bytes);
    text_free(&got);
    text_free(&wanted);
}

static void expect_bytes(const Tokenizer *tokenizer, const char *text, size_t length,
                         EncodeOptions options, const int32_t *ids, int64_t count)
{
    TokenList list = {0};
    Diag diag = {0};
    ck_assert_msg(tokenizer_encode(tokenizer, text, length, options, &list, &diag), "%s",
                  diag.message);
    expect_list(&list, ids, count, text);
    token_list_free(&list);
}

#define IDS(...) (const int32_t[]){__VA_ARGS__}, sizeof(int32_t[]){__VA_ARGS__} / sizeof(int32_t)
#define EXPECT_SMALL(text, options, ...)                                                           \
    do {                                                                                           \
        Tokenizer *tokenizer_ = open_tokenizer(&small);                                            \
        expect_bytes(tokenizer_, text, sizeof(text) - 1, options, IDS(__VA_ARGS__));               \
        tokenizer_free(tokenizer_);                                                                \
    } while (0)

static Text decode(const Tokenizer *tokenizer, const int32_t *ids, int64_t count, bool show_special,
                   bool at_start)
{
    Text out = {0};
    TextStream stream;
    text_append(&out, "", 0);
    text_stream_begin(&stream, tokenizer, show_special, at_start);
    for (int64_t i = 0; i < count; i++)
        text_stream_push(&stream, ids[i], &out);
    text_stream_end(&stream, &out);
    return out;
}

static void expect_text(const int32_t *ids, int64_t count, bool show_special, bool at_start,
                        const char *wanted)
{
    Tokenizer *tokenizer = open_tokenizer(&small);
    Text out = decode(tokenizer, ids, count, show_special, at_start);
    ck_assert_str_eq(out.bytes, wanted);
    text_free(&out);
    tokenizer_free(tokenizer);
}

START_TEST(higher_score_merges_first)
{
    EXPECT_SMALL("abc", plain, 7, 11);
}
END_TEST

START_TEST(equal_scores_merge_leftmost_first)
{
    EXPECT_SMALL("aaa", plain, 12, 7);
}
END_TEST

START_TEST(merge_order_is_of_the_whole_word)
{
    EXPECT_SMALL("aabc", plain, 12, 11);
    EXPECT_SMALL(" ab", plain, 6, 10);
}
END_TEST

START_TEST(character_without_piece_becomes_bytes)
{
    EXPECT_SMALL("a\xc3\xa9\n", plain, 7, 4, 5, 3);
}
END_TEST

START_TEST(character_without_all_bytes_becomes_one_unknown)
{
    EXPECT_SMALL("a\xc3\xaa"
                 "b",
                 plain, 7, 0, 8);
}
END_TEST

START_TEST(nothing_to_stand_for_a_character_is_refused)
{
    small.unknown = TOKEN_NONE;
    Tokenizer *tokenizer = open_tokenizer(&small);
    TokenList list = {0};
    Diag diag = {0};
    ck_assert(token_list_push(&list, 7, &diag));
    ck_assert(!tokenizer_encode(tokenizer, "a\xc3\xaa", 3, plain, &list, &diag));
    ck_assert_ptr_nonnull(strstr(diag.message, "0xAA"));
    ck_assert_int_eq(list.count, 1);
    token_list_free(&list);
    tokenizer_free(tokenizer);
}
END_TEST

START_TEST(invalid_bytes_are_symbols_of_their_own)
{
    EXPECT_SMALL("\xc3"
                 "ab\xa9",
                 plain, 4, 10, 5);
    EXPECT_SMALL("\xc3", plain, 4);
    EXPECT_SMALL("\xf0\x9f\x98"
                 "a",
                 plain, 0, 0, 0, 7);
    EXPECT_SMALL("a\xff\0b", plain, 7, 0, 0, 8);
}
END_TEST

START_TEST(control_pieces_are_parsed_only_when_asked)
{
    EXPECT_SMALL("a<s>b", parsing, 7, 1, 8);
    EXPECT_SMALL("a<unk>", parsing, 7, 0);
    EXPECT_SMALL("a<s>b", plain, 7, 14, 15, 8);
}
END_TEST

START_TEST(byte_pieces_are_not_spelled)
{
    EXPECT_SMALL("<0x0A>", plain, 14, 0, 20, 0, 0, 17);
    EXPECT_SMALL("<0x0A>", parsing, 14, 0, 20, 0, 0, 17);
}
END_TEST

START_TEST(user_pieces_are_always_matched_leftmost_first)
{
    EXPECT_SMALL("xabcd", plain, 18, 9, 21);
    EXPECT_SMALL("xabxabcd", plain, 18, 18, 9, 21);
    EXPECT_SMALL("cabcd", plain, 9, 19);
    EXPECT_SMALL("xabxab", plain, 18, 18);
    EXPECT_SMALL("cxabc", plain, 9, 18, 9);
}
END_TEST

START_TEST(space_prefix_follows_beginning_and_special_tokens)
{
    use_space_prefix(true);
    EXPECT_SMALL("a<s>a", parsing, 13, 1, 13);
    EXPECT_SMALL("<s>a", parsing, 1, 13);
    EXPECT_SMALL("axaba", plain, 13, 18, 13);
    use_space_prefix(false);
    EXPECT_SMALL("a<s>a", parsing, 7, 1, 7);
}
END_TEST

START_TEST(begin_and_end_are_added_as_the_vocabulary_says)
{
    const EncodeOptions special = {true, false};
    use_space_prefix(true);
    EXPECT_SMALL("a", special, 1, 13);
    EXPECT_SMALL("", special, 1);
    small.add_eos = true;
    EXPECT_SMALL("a", special, 1, 13, 2);
    EXPECT_SMALL("a", plain, 13);
    small.add_bos = false;
    EXPECT_SMALL("a", special, 13, 2);
}
END_TEST

START_TEST(empty_text_has_no_tokens)
{
    use_space_prefix(true);
    Tokenizer *tokenizer = open_tokenizer(&small);
    expect_bytes(tokenizer, "", 0, plain, NULL, 0);
    tokenizer_free(tokenizer);
}
END_TEST

static void expect_refusal(const char *words)
{
    Diag diag = {0};
    ck_assert_ptr_null(tokenizer_new(&small, &diag));
    ck_assert_msg(strstr(diag.message, words) != NULL, "%s", diag.message);
}

START_TEST(vocabularies_that_cannot_be_used_are_refused)
{
    small.kind = VOCABULARY_NONE;
    expect_refusal("this model has no vocabulary");
    small.kind = VOCABULARY_SCORES;
    static const TextStep bad[] = {{TEXT_SPLIT, 0, {0, 1}, {0, 0}}};
    small.steps = bad;
    small.step_count = 1;
    small.step_bytes = "(";
    expect_refusal("the pattern \"(\" is not understood");
    use_space_prefix(false);
    small.step_bytes = S " ";
    small.bos = TOKEN_NONE;
    expect_refusal("begin-of-text");
}
END_TEST

START_TEST(malformed_byte_piece_is_refused)
{
    static const int32_t malformed[] = {7, 23, 24};
    uint8_t types[SMALL_COUNT];
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        for (int id = 0; id < SMALL_COUNT; id++)
            types[id] = (uint8_t)small_rows[id].type;
        types[malformed[i]] = PIECE_BYTE;
        small.types = types;
        Text words = {0};
        text_print(&words, "piece %d ", malformed[i]);
        expect_refusal(words.bytes);
        text_free(&words);
    }
}
END_TEST

START_TEST(characters_are_measured)
{
    ck_assert_int_eq(utf8_measure("a", 1), 1);
    ck_assert_int_eq(utf8_measure("\xf0\x9f\x98\x80!", 5), 4);
    ck_assert_int_eq(utf8_measure("\xf0\x9f\x98", 3), 0);
    ck_assert_int_eq(utf8_measure("\xf0\x9f\x98!", 4), -3);
    ck_assert_int_eq(utf8_measure("\x80", 1), -1);
    ck_assert_int_eq(utf8_measure("\xc0\xaf", 2), -1);
    ck_assert_int_eq(utf8_measure("\xe0\x80\x80", 3), -1);
    ck_assert_int_eq(utf8_measure("\xed\xa0\x80", 3), -1);
    ck_assert_int_eq(utf8_measure("\xf4\x90\x80\x80", 4), -1);
    ck_assert_int_eq(utf8_measure("\xf5\x80\x80\x80", 4), -1);
    ck_assert_int_eq(utf8_measure("", 0), 0);
}
END_TEST

START_TEST(stream_holds_back_a_character_until_it_is_whole)
{
    Tokenizer *tokenizer = open_tokenizer(&small);
    Text out = {0};
    TextStream stream;
    text_stream_begin(&stream, tokenizer, false, true);
    text_stream_push(&stream, 7, &out);
    text_stream_push(&stream, 4, &out);
    ck_assert_str_eq(out.bytes, "a");
    text_stream_push(&stream, 5, &out);
    ck_assert_str_eq(out.bytes, "a\xc3\xa9");
    text_stream_end(&stream, &out);
    ck_assert_str_eq(out.bytes, "a\xc3\xa9");
    text_free(&out);
    tokenizer_free(tokenizer);
}
END_TEST

START_TEST(stream_prints_broken_characters_as_replacement)
{
    expect_text(IDS(4, 7), false, true, UTF8_REPLACEMENT "a");
    expect_text(IDS(5, 7), false, true, UTF8_REPLACEMENT "a");
    expect_text(IDS(4, 4, 5), false, true, UTF8_REPLACEMENT "\xc3\xa9");
    expect_text(IDS(7, 4), false, true, "a" UTF8_REPLACEMENT);
}
END_TEST

START_TEST(stream_prints_foreign_ids_as_replacement)
{
    expect_text(IDS(7, SMALL_COUNT, -1), false, true, "a" UTF8_REPLACEMENT UTF8_REPLACEMENT);
}
END_TEST

START_TEST(stream_shows_special_tokens_only_when_asked)
{
    expect_text(IDS(1, 7, 0, 2), false, true, "a");
    expect_text(IDS(1, 7, 0, 2), true, true, "<s>a<unk></s>");
}
END_TEST

START_TEST(stream_strips_one_dummy_space_at_the_start)
{
    expect_text(IDS(13, 13), false, true, " a a");
    use_space_prefix(true);
    expect_text(IDS(13, 13), false, true, "a a");
    expect_text(IDS(6, 13), false, true, " a");
    expect_text(IDS(1, 13), false, true, "a");
    expect_text(IDS(7, 13), false, true, "a a");
    expect_text(IDS(18, 13), false, true, "xab a");
    expect_text(IDS(13, 13), false, false, " a a");
}
END_TEST

// The tests below read real vocabularies.

static const char *data_folder(void)
{
    const char *folder = getenv("DATA");
    return folder ? folder : "../shared/data";
}

// A whole file in a Text, or false if there is none.
static bool read_data(const char *name, const char *suffix, Text *out)
{
    Text path = {0};
    text_print(&path, "%s/%s%s", data_folder(), name, suffix);
    FILE *file = fopen(path.bytes, "rb");
    text_free(&path);
    if (!file)
        return false;
    char block[65536];
    size_t got;
    text_append(out, "", 0);
    while ((got = fread(block, 1, sizeof block, file)) > 0)
        text_append(out, block, got);
    fclose(file);
    return true;
}

static bool have_data(const char *test)
{
    Text readme = {0};
    bool present = read_data("README.md", "", &readme);
    const char *ci = getenv("CI");
    text_free(&readme);
    if (!present && ci && strcmp(ci, "true") == 0)
        ck_abort_msg("%s: needs DATA", test);
    if (!present)
        printf("skip: %s: needs DATA\n", test);
    return present;
}

static ModelFile *open_model(const char *name, Arena *memory)
{
    Text path = {0};
    Diag diag = {0};
    text_print(&path, "%s/%s", data_folder(), name);
    ModelFile *file = model_file_open(path.bytes, memory, &diag);
    text_free(&path);
    ck_assert_msg(file != NULL, "%s", diag.message);
    return file;
}

#define LLAMA "tokenizers/ggml-vocab/ggml-vocab-llama-spm.gguf"
#define PHI3 "tokenizers/ggml-vocab/ggml-vocab-phi-3.gguf"
#define SEPARATOR "\n__ggml_vocab_test__\n"

// Checks one case against its line of ids; returns the line after it.
static const char *check_vector(const Tokenizer *tokenizer, const char *text, size_t length,
                                const char *line)
{
    TokenList wanted = {0}, got = {0};
    Diag diag = {0};
    const char *end = strchr(line, '\n');
    ck_assert_ptr_nonnull(end);
    while (line < end) {
        char *after;
        long id = strtol(line, &after, 10);
        if (after == line || after > end)
            break;
        ck_assert(token_list_push(&wanted, (int32_t)id, &diag));
        line = after;
    }
    ck_assert_msg(tokenizer_encode(tokenizer, text, length, plain, &got, &diag), "%s",
                  diag.message);
    expect_list(&got, wanted.ids, wanted.count, text);
    token_list_free(&wanted);
    token_list_free(&got);
    return end + 1;
}

// Cases and ids of `name`, with the vocabulary of `model`.
static void check_vectors(const char *name, const char *model)
{
    Arena memory = {0};
    Text input = {0}, output = {0};
    ModelFile *file = open_model(model, &memory);
    Tokenizer *tokenizer = open_tokenizer(&file->vocabulary);
    ck_assert(read_data(name, ".inp", &input) && read_data(name, ".out", &output));
    const char *line = output.bytes;
    char *text = input.bytes, *separator;
    int cases = 0;
    while ((separator = strstr(text, SEPARATOR))) {
        *separator = 0;
        line = check_vector(tokenizer, text, (size_t)(separator - text), line);
        text = separator + strlen(SEPARATOR);
        cases++;
    }
    ck_assert_int_ge(cases, 40);
    ck_assert_str_eq(line, "");
    ck_assert_str_eq(text, "");
    text_free(&input);
    text_free(&output);
    tokenizer_free(tokenizer);
    model_file_close(file);
    arena_free(&memory);
}

START_TEST(llama_vectors_agree)
{
    if (have_data("llama_vectors_agree"))
        check_vectors(LLAMA, LLAMA);
}
END_TEST

static const char *const other_vectors[] = {"tokenizers/ggml-vocab/ggml-vocab-gpt-2.gguf",
                                            "tokenizers/ggml-vocab/ggml-vocab-falcon.gguf",
                                            "tokenizers/ggml-vocab/ggml-vocab-deepseek-llm.gguf"};

START_TEST(byte_level_vectors_agree)
{
    if (have_data("byte_level_vectors_agree"))
        check_vectors(other_vectors[_i], other_vectors[_i]);
}
END_TEST

// The vectors whose vocabulary is not a GGUF file.
START_TEST(folder_vectors_agree)
{
    if (!have_data("folder_vectors_agree"))
        return;
    check_vectors("tokenizers/ggml-vocab/ggml-vocab-qwen2.gguf", "tokenizers/qwen2");
    check_vectors("tokenizers/ggml-vocab/ggml-vocab-llama-bpe.gguf",
                  "tokenizers/llama3/tokenizer.model");
    check_vectors(PHI3, "tokenizers/phi-3-mini/tokenizer.json");
    check_vectors("tokenizers/ggml-vocab/ggml-vocab-gpt-2.gguf", "tokenizers/gpt2/tokenizer.json");
    check_vectors(LLAMA, "tokenizers/llama2/tokenizer.json");
    check_vectors(LLAMA, "tokenizers/llama2/tokenizer.model");
}
END_TEST

START_TEST(phi3_vectors_agree)
{
    if (have_data("phi3_vectors_agree"))
        check_vectors(PHI3, PHI3);
}
END_TEST

static void check_round_trip(const Tokenizer *tokenizer, const char *text, size_t length)
{
    TokenList list = {0};
    Diag diag = {0};
    ck_assert_msg(tokenizer_encode(tokenizer, text, length, plain, &list, &diag), "%s",
                  diag.message);
    Text out = decode(tokenizer, list.ids, list.count, false, true);
    ck_assert_uint_eq(out.length, length);
    ck_assert_mem_eq(out.bytes, text, length);
    text_free(&out);
    token_list_free(&list);
}

START_TEST(decoding_undoes_encoding)
{
    static const char *const texts[] = {
        "",
        " ",
        "  ",
        "\n",
        " \n \n",
        "\t\t",
        "a",
        " a",
        "   a  b   ",
        "Hello, world!\n",
        "\xf0\x9f\x9a\x80 \xf0\x9f\x98\xb6\xe2\x80\x8d\xf0\x9f\x8c\xab\xef\xb8\x8f",
        "\xe1\x9e\x80\xe1\x9e\xb6\xe1\x9e\x93",
        "<s>",
        "<0x0A>",
        "\x01\x7f",
        "\xf4\x8f\xbf\xbf"};
    if (!have_data("decoding_undoes_encoding"))
        return;
    Arena memory = {0};
    Text wiki = {0};
    ModelFile *file = open_model(LLAMA, &memory);
    Tokenizer *tokenizer = open_tokenizer(&file->vocabulary);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        check_round_trip(tokenizer, texts[i], strlen(texts[i]));
    check_round_trip(tokenizer, "a\0b", 3);
    ck_assert(read_data("text/wiki.test.raw", "", &wiki));
    check_round_trip(tokenizer, wiki.bytes, wiki.length);
    text_free(&wiki);
    tokenizer_free(tokenizer);
    model_file_close(file);
    arena_free(&memory);
}
END_TEST

// Megabytes that the cutting into stretches, the merging and the special pieces like least. A
// quadratic step would run into Check's timeout.
START_TEST(a_megabyte_is_no_trouble)
{
    enum { LENGTH = 1 << 20 };
    static const char *const patterns[] = {"a", " ", "<", "<|", "ab", "\xe2\x96", "the  ", "=-"};
    if (!have_data("a_megabyte_is_no_trouble"))
        return;
    Arena memory = {0};
    ModelFile *file = open_model(PHI3, &memory);
    Tokenizer *tokenizer = open_tokenizer(&file->vocabulary);
    char *text = malloc(LENGTH);
    ck_assert_ptr_nonnull(text);
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        TokenList list = {0};
        Diag diag = {0};
        for (size_t at = 0; at < LENGTH; at++)
            text[at] = patterns[i][at % strlen(patterns[i])];
        ck_assert(tokenizer_encode(tokenizer, text, LENGTH, parsing, &list, &diag));
        ck_assert_int_gt(list.count, LENGTH / 64);
        token_list_free(&list);
    }
    free(text);
    tokenizer_free(tokenizer);
    model_file_close(file);
    arena_free(&memory);
}
END_TEST

START_TEST(phi3_chat_markup_is_parsed)
{
    static const char chat[] = "<|user|>\nHi<|end|>\n<|assistant|>\n";
    if (!have_data("phi3_chat_markup_is_parsed"))
        return;
    Arena memory = {0};
    ModelFile *file = open_model(PHI3, &memory);
    Tokenizer *tokenizer = open_tokenizer(&file->vocabulary);
    expect_bytes(tokenizer, chat, sizeof chat - 1, parsing,
                 IDS(32010, 29871, 13, 18567, 32007, 29871, 13, 32001, 29871, 13));
    tokenizer_free(tokenizer);
    model_file_close(file);
    arena_free(&memory);
}
END_TEST

static Suite *make_suite(void)
{
    const TTest *const hand[] = {higher_score_merges_first,
                                 equal_scores_merge_leftmost_first,
                                 merge_order_is_of_the_whole_word,
                                 character_without_piece_becomes_bytes,
                                 character_without_all_bytes_becomes_one_unknown,
                                 nothing_to_stand_for_a_character_is_refused,
                                 invalid_bytes_are_symbols_of_their_own,
                                 control_pieces_are_parsed_only_when_asked,
                                 byte_pieces_are_not_spelled,
                                 user_pieces_are_always_matched_leftmost_first,
                                 space_prefix_follows_beginning_and_special_tokens,
                                 begin_and_end_are_added_as_the_vocabulary_says,
                                 empty_text_has_no_tokens,
                                 vocabularies_that_cannot_be_used_are_refused,
                                 malformed_byte_piece_is_refused,
                                 characters_are_measured,
                                 stream_holds_back_a_character_until_it_is_whole,
                                 stream_prints_broken_characters_as_replacement,
                                 stream_prints_foreign_ids_as_replacement,
                                 stream_shows_special_tokens_only_when_asked,
                                 stream_strips_one_dummy_space_at_the_start};
    const TTest *const real[] = {llama_vectors_agree,      phi3_vectors_agree,
                                 folder_vectors_agree,     phi3_chat_markup_is_parsed,
                                 decoding_undoes_encoding, a_megabyte_is_no_trouble};
    Suite *suite = suite_create("tokenizer");
    TCase *by_hand = tcase_create("by hand"), *by_data = tcase_create("by data");
    tcase_add_checked_fixture(by_hand, make_small, drop_small);
    tcase_set_timeout(by_data, 60);
    for (size_t i = 0; i < sizeof hand / sizeof hand[0]; i++)
        tcase_add_test(by_hand, hand[i]);
    for (size_t i = 0; i < sizeof real / sizeof real[0]; i++)
        tcase_add_test(by_data, real[i]);
    tcase_add_loop_test(by_data, byte_level_vectors_agree, 0,
                        sizeof other_vectors / sizeof *other_vectors);
    suite_add_tcase(suite, by_hand);
    suite_add_tcase(suite, by_data);
    return suite;
}

int main(void)
{
    return run_suite(make_suite());
}
