// Vocabularies out of tokenizer.json and tokenizer.model: what each step does to a text, what is
// read, what is refused.
#include "runtime/text/text_stream.h"
#include "runtime/text/tokenizer.h"
#include "tests/unit/gguf_writer.h"
#include "tests/unit/run_suite.h"

// Every byte of ASCII is a piece, so that words can be seen: ids are told as text, one "|" between.
static char *make_pieces(void)
{
    Text pieces = {0};
    for (int byte = 0x21; byte < 0x7f; byte++) {
        text_print(&pieces, "%s", pieces.length ? "," : "");
        char piece[2] = {(char)byte, 0};
        text_quote(&pieces, piece, 1);
        text_print(&pieces, ":%d", byte);
    }
    char *copy = arena_copy_text(&arena, pieces.bytes, pieces.length);
    text_free(&pieces);
    return copy;
}

// A byte-level BPE over those pieces, "Ġ" (the space) and all that is doubled, with merges of equal
// letters: "aa" shows whether two a stand in one word.
static ModelFile *open_json(const char *members)
{
    Text json = {0};
    text_print(&json,
               "{\"model\":{\"type\":\"BPE\",\"vocab\":{%s,\"\xc4\xa0\":0,\"aa\":1,\"\xc3\x83\":2,"
               "\"\xc2\xa9\":3},\"merges\":[\"a a\"]}%s%s}",
               make_pieces(), *members ? "," : "", members);
    return open_bytes(&json);
}

static void expect_ids(const ModelFile *file, const char *text, bool parse, const char *wanted)
{
    Text got = {0};
    TokenList ids = {0};
    Tokenizer *tokenizer = tokenizer_new(&file->vocabulary, &diag);
    ck_assert_msg(tokenizer != NULL, "%s", diag.message);
    ck_assert_msg(
        tokenizer_encode(tokenizer, text, strlen(text), (EncodeOptions){false, parse}, &ids, &diag),
        "%s", diag.message);
    text_append(&got, "", 0);
    for (int64_t i = 0; i < ids.count; i++) {
        const uint32_t *offsets = file->vocabulary.offsets + ids.ids[i];
        text_print(&got, "%s%.*s", i ? "|" : "", (int)(offsets[1] - offsets[0]),
                   file->vocabulary.bytes + offsets[0]);
    }
    ck_assert_str_eq(got.bytes, wanted);
    text_free(&got);
    token_list_free(&ids);
    tokenizer_free(tokenizer);
}

#define BYTES "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}"
#define SPLITS(steps)                                                                              \
    "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[" steps BYTES "]}"
#define SPLIT(pattern, behaviour)                                                                  \
    SPLITS("{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" pattern "\"},\"behavior\":\"" behaviour \
           "\",\"invert\":false},")
#define NORMALISED(step) "\"normalizer\":" step "," SPLITS("")
#define ADDED(text, flags)                                                                         \
    "\"added_tokens\":[{\"id\":127,\"content\":\"" text "\"" flags "}]," SPLITS("")

static const struct {
    const char *members, *text, *wanted;
    bool parse;
} step_cases[] = {
    {SPLITS(""), "aaaa", "aa|aa", false},
    {SPLITS(""), "a\xc3\xa9", "a|\xc3|\xa9", false},
    {SPLIT("x", "Removed"), "aaxaxa", "aa|a|a", false},
    {SPLIT("a", "Isolated"), "aaxa", "a|a|x|a", false},
    {SPLIT("a(?=b)", "MergedWithPrevious"), "aab", "aa|b", false},
    {SPLIT("a(?!a)", "MergedWithNext"), "aaa", "aa|a", false},
    {SPLIT("a", "Contiguous"), "aaba", "aa|b|a", false},
    {SPLIT("(?=(a{2})+$)", "Isolated"), "aaaaa", "a|aa|aa", false},
    {SPLIT("\\\\s+(?!\\\\S)|\\\\s+", "Isolated"), "a  a", "a| | |a", false},
    {SPLITS("{\"type\":\"Split\",\"pattern\":{\"String\":\"(\"},\"behavior\":\"Removed\"},"), "a(a",
     "a|a", false},
    // An empty pattern cuts everywhere; it is the only text of the steps.
    {SPLITS("{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\"},\"behavior\":\"Isolated\"},"), "aaa",
     "a|a|a", false},
    {SPLITS("{\"type\":\"Punctuation\"},"), "aa!aa", "aa|!|aa", false},
    {SPLITS("{\"type\":\"WhitespaceSplit\"},"), "a a", "a|a", false},
    {"\"pre_tokenizer\":{\"type\":\"ByteLevel\"}", "aa aa", " |aa| |aa", false},
    {NORMALISED("{\"type\":\"Lowercase\"}"), "AAb", "aa|b", false},
    {NORMALISED("{\"type\":\"NFC\"}"), "ae\xcc\x81", "a|\xc3|\xa9", false},
    {NORMALISED("{\"type\":\"Strip\",\"strip_left\":true,\"strip_right\":true}"),
     " \xe3\x80\x80"
     "a ",
     "a", false},
    {NORMALISED("{\"type\":\"Prepend\",\"prepend\":\"a\"}"), "a", "aa", false},
    {NORMALISED("{\"type\":\"Replace\",\"pattern\":{\"String\":\"xy\"},\"content\":\"a\"}"), "xya",
     "aa", false},
    {NORMALISED("{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"[xy]+\"},\"content\":\"a\"}"),
     "xyxa", "aa", false},
    {NORMALISED("{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFD\"},"
                "{\"type\":\"StripAccents\"}]}"),
     "\xc3\xa9", "e", false},
    // Bytes that are no text are seen by no step, and words end beside them.
    {NORMALISED("{\"type\":\"Lowercase\"}"),
     "A\xc3"
     "A",
     "a|\xc3|a", false},
    {ADDED("<x>", ",\"special\":true"), "a<x>a", "a|<|x|>|a", false},
    {ADDED("<x>", ",\"special\":true"), "a<x>a", "a|<x>|a", true},
    {ADDED("<x>", ""), "a<x>a", "a|<x>|a", false},
    {ADDED("<x>", ",\"lstrip\":true"), "a <x> a", "a|<x>| |a", false},
    {ADDED("<x>", ",\"rstrip\":true"), "a <x> a", "a| |<x>|a", false},
    {ADDED("xx", ",\"single_word\":true"), "axx xx", "a|x|x| |xx", false},
    {"\"normalizer\":{\"type\":\"Lowercase\"}," ADDED("XX", ",\"normalized\":true"), "axxa",
     "a|XX|a", false},
};

START_TEST(steps_do_what_they_say)
{
    ModelFile *file = open_json(step_cases[_i].members);
    ck_assert_msg(file != NULL, "%s", diag.message);
    expect_ids(file, step_cases[_i].text, step_cases[_i].parse, step_cases[_i].wanted);
    model_file_close(file);
}
END_TEST

static const struct {
    const char *json, *message;
} bad_files[] = {
    {"{ \"a\"", "not JSON"},
    {"{  }", "has no model"},
    {"{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":0}}}", "the model is WordPiece"},
    {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0}}}", "no list of merges"},
    {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}}",
     "token id 0 is given twice"},
    {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":2000000000},\"merges\":[]}}", "is absurd"},
    {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}}", "has no id"},
    {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a b\"]}}",
     "the right half is not a token"},
    {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[[\"a\",\"a\"]]}}",
     "what they make is not a token"},
    {"{\"model\":{\"type\":\"BPE\",\"dropout\":0.1,\"vocab\":{\"a\":0},\"merges\":[]}}", "dropout"},
    {"{\"model\":{\"type\":\"BPE\",\"unk_token\":\"u\",\"vocab\":{\"a\":0},\"merges\":[]}}",
     "the unknown token is none of the tokens"},
    {"{\"model\":{\"type\":\"Unigram\",\"unk_id\":1e28,\"vocab\":[[\"a\",0]]}}",
     "unk_id is no whole"},
    {"{\"model\":{\"type\":\"Unigram\",\"unk_id\":0.5,\"vocab\":[[\"a\",0]]}}",
     "unk_id is no whole"},
    {"{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\"]]}}", "not a piece and its score"},
    {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]},"
     "\"normalizer\":{\"type\":\"Nobodys\"}}",
     "normalizer Nobodys is not supported"},
    {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]},"
     "\"pre_tokenizer\":{\"type\":\"UnicodeScripts\"}}",
     "pre_tokenizer UnicodeScripts is not supported"},
    {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]},"
     "\"decoder\":{\"type\":\"CTC\"}}",
     "decoder CTC is not supported"},
};

START_TEST(bad_files_are_refused)
{
    Text json = {0};
    text_print(&json, "%s", bad_files[_i].json);
    expect_refusal(&json, bad_files[_i].message);
}
END_TEST

START_TEST(a_unigram_takes_the_likeliest_pieces)
{
    Text json = {0};
    text_print(&json, "%s",
               "{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"<unk>\",0],[\"a\",-3],"
               "[\"b\",-3],[\"ab\",-4],[\"aba\",-8]]},"
               "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":["
               "{\"Sequence\":{\"id\":\"A\"}},{\"SpecialToken\":{\"id\":\"b\"}}]}}");
    ModelFile *file = open_good(&json);
    expect_ids(file, "aba", false, "ab|a");
    expect_ids(file, "xya", false, "<unk>|a");
    ck_assert(file->vocabulary.add_eos && !file->vocabulary.add_bos);
    ck_assert_int_eq(file->vocabulary.eos, 2);
    model_file_close(file);
}
END_TEST

// --- SentencePiece models, written by hand

static void put_bytes_field(Text *out, uint8_t number, const char *bytes, size_t length)
{
    put_u8(out, (uint8_t)(number << 3 | 2));
    put_u8(out, (uint8_t)length);
    text_append(out, bytes, length);
}

static void put_piece(Text *out, const char *piece, float score, uint8_t type)
{
    Text bytes = {0};
    put_bytes_field(&bytes, 1, piece, strlen(piece));
    put_u8(&bytes, 2 << 3 | 5), put_f32(&bytes, score);
    put_u8(&bytes, 3 << 3), put_u8(&bytes, type);
    put_bytes_field(out, 1, bytes.bytes, bytes.length);
    text_free(&bytes);
}

// BPE (2) or unigram (1) of a few pieces, with a trainer and a normaliser field.
static void put_model(Text *out, uint8_t type)
{
    const char trainer[] = {3 << 3, (char)type};
    put_piece(out, "<unk>", 0, PIECE_UNKNOWN);
    put_piece(out, "<s>", 0, PIECE_CONTROL);
    put_piece(out, "\xe2\x96\x81", -5, PIECE_NORMAL);
    put_piece(out, "a", -6, PIECE_NORMAL);
    put_piece(out, "aa", -7, PIECE_NORMAL);
    put_piece(out, "[x]", 0, PIECE_USER);
    put_bytes_field(out, 2, trainer, sizeof trainer);
}

START_TEST(a_sentencepiece_model_is_read)
{
    Text bytes = {0};
    put_model(&bytes, (uint8_t)_i);
    ModelFile *file = open_good(&bytes);
    ck_assert_int_eq(file->vocabulary.kind, _i == 1 ? VOCABULARY_UNIGRAM : VOCABULARY_SCORES);
    ck_assert_int_eq(file->vocabulary.bos, 1);
    ck_assert_int_eq(file->vocabulary.unknown, 0);
    // Extra spaces go, one is put before, neighbours without a piece are one unknown token.
    expect_ids(file, "  aa  a[x]xy ", false, "\xe2\x96\x81|aa|\xe2\x96\x81|a|[x]|<unk>");
    model_file_close(file);
}
END_TEST

// Every beginning of a model is refused or read, never more.
START_TEST(a_cut_sentencepiece_model_is_no_trouble)
{
    Text whole = {0};
    put_model(&whole, 2);
    for (size_t length = 5; length < whole.length; length++) {
        Text bytes = {0};
        diag = (Diag){0};
        text_append(&bytes, whole.bytes, length);
        model_file_close(open_bytes(&bytes));
    }
    text_free(&whole);
}
END_TEST

START_TEST(a_byte_level_piece_is_decoded)
{
    ModelFile *file = open_json(SPLITS(""));
    ck_assert_msg(file != NULL, "%s", diag.message);
    ck_assert_int_eq(piece(file, " "), 0);
    ck_assert_int_eq(piece(file, "\xc3"), 2);
    ck_assert_int_eq(piece(file, "\xa9"), 3);
    Tokenizer *tokenizer = tokenizer_new(&file->vocabulary, &diag);
    TextStream stream;
    Text out = {0};
    text_append(&out, "", 0);
    text_stream_begin(&stream, tokenizer, false, true);
    text_stream_push(&stream, 2, &out);
    ck_assert_str_eq(out.bytes, "");
    text_stream_push(&stream, 3, &out);
    text_stream_push(&stream, 0, &out);
    ck_assert_str_eq(out.bytes, "\xc3\xa9 ");
    text_free(&out);
    tokenizer_free(tokenizer);
    model_file_close(file);
}
END_TEST

int main(void)
{
    TCase *cases = new_cases("tokenizer_files");
    LOOP(cases, steps_do_what_they_say, step_cases);
    LOOP(cases, bad_files_are_refused, bad_files);
    tcase_add_test(cases, a_unigram_takes_the_likeliest_pieces);
    tcase_add_loop_test(cases, a_sentencepiece_model_is_read, 1, 3);
    tcase_add_test(cases, a_cut_sentencepiece_model_is_no_trouble);
    tcase_add_test(cases, a_byte_level_piece_is_decoded);
    return run_cases("tokenizer_files", cases);
}
