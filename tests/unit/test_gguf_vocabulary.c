// The canonical vocabulary out of GGUF metadata: what is read, defaulted, refused.
#include "tests/unit/gguf_writer.h"
#include "tests/unit/run_suite.h"

// A SentencePiece vocabulary of four pieces; what a test changes is in the arguments.
typedef struct VocabularyCase {
    uint64_t scores, types; // how many of each
    int32_t type;           // of the last piece
    uint32_t eos;
    uint32_t score_type; // F32 or another type of 4 bytes
} VocabularyCase;

static const VocabularyCase good_case = {4, 4, PIECE_CONTROL, 2, F32};

static void put_vocabulary(Text *bytes, const VocabularyCase *vocabulary)
{
    static const char *const pieces[] = {"<unk>", "<s>", "</s>", "<|im_end|>"};
    put_header(bytes, 3, 0, 5);
    put_key_text(bytes, "tokenizer.ggml.model", "llama");
    put_key(bytes, "tokenizer.ggml.tokens", ARRAY), put_array(bytes, STRING, 4);
    for (int i = 0; i < 4; i++)
        put_string(bytes, pieces[i]);
    put_key(bytes, "tokenizer.ggml.scores", ARRAY);
    put_array(bytes, vocabulary->score_type, vocabulary->scores);
    for (uint64_t i = 0; i < vocabulary->scores; i++)
        put_f32(bytes, -(float)i);
    put_key(bytes, "tokenizer.ggml.token_type", ARRAY), put_array(bytes, I32, vocabulary->types);
    for (uint64_t i = 0; i < vocabulary->types; i++)
        put_u32(bytes, i == 3 ? (uint32_t)vocabulary->type : PIECE_NORMAL);
    put_key_u32(bytes, "tokenizer.ggml.eos_token_id", vocabulary->eos);
}

START_TEST(a_written_vocabulary_is_read)
{
    Text bytes = {0};
    put_vocabulary(&bytes, &good_case);
    ModelFile *file = open_good(&bytes);
    const Vocabulary *vocabulary = &file->vocabulary;
    ck_assert(file->has_vocabulary);
    ck_assert_int_eq(vocabulary->kind, VOCABULARY_SCORES);
    ck_assert_int_eq(vocabulary->count, 4);
    ck_assert_int_eq(piece(file, "</s>"), 2);
    ck_assert_int_eq(piece(file, "none"), TOKEN_NONE);
    ck_assert_float_eq(vocabulary->scores[3], -3.0f);
    ck_assert_int_eq(vocabulary->types[0], PIECE_NORMAL);
    ck_assert_int_eq(vocabulary->types[3], PIECE_CONTROL);
    // Ends: eos first, then the control piece that chat models end turns with.
    ck_assert_int_eq(vocabulary->end_count, 2);
    ck_assert_int_eq(vocabulary->ends[0], 2);
    ck_assert_int_eq(vocabulary->ends[1], 3);
    ck_assert_str_eq(vocabulary->chat_template, "");
    model_file_close(file);
}
END_TEST

START_TEST(a_normal_piece_is_no_end)
{
    Text bytes = {0};
    VocabularyCase vocabulary = good_case;
    vocabulary.type = PIECE_NORMAL;
    put_vocabulary(&bytes, &vocabulary);
    ModelFile *file = open_good(&bytes);
    ck_assert_int_eq(file->vocabulary.end_count, 1);
    model_file_close(file);
}
END_TEST

static const struct {
    VocabularyCase vocabulary;
    const char *message;
} bad_vocabularies[] = {
    {{3, 4, 3, 2, F32}, "key \"tokenizer.ggml.scores\": has 3 items, but there are 4 tokens"},
    {{4, 5, 3, 2, F32}, "key \"tokenizer.ggml.token_type\": has 5 items, but there are 4 tokens"},
    {{4, 4, 7, 2, F32}, "token 3 has type 7 (1 to 6 are defined)"},
    {{4, 4, -1, 2, F32}, "token 3 has type -1 (1 to 6 are defined)"},
    {{4, 4, 3, 4, F32}, "token_id\": token 4 is not one of the 4 tokens"},
    {{4, 4, 3, 2, U32}, "key \"tokenizer.ggml.scores\": must be an array of floats, not of u32"},
};

START_TEST(bad_vocabularies_are_refused)
{
    Text bytes = {0};
    put_vocabulary(&bytes, &bad_vocabularies[_i].vocabulary);
    expect_refusal(&bytes, bad_vocabularies[_i].message);
}
END_TEST

static void expect_steps(const Vocabulary *vocabulary, const char *names)
{
    Text text = {0};
    vocabulary_print(vocabulary, &text);
    const char *steps = strstr(text.bytes, "steps ");
    ck_assert_str_eq(steps ? steps + 6 : "", names);
    text_free(&text);
}

START_TEST(vocabulary_defaults_are_llama_cpps)
{
    Text bytes = {0};
    put_header(&bytes, 3, 0, 2);
    put_key_text(&bytes, "tokenizer.ggml.model", "llama");
    put_key(&bytes, "tokenizer.ggml.tokens", ARRAY), put_array(&bytes, STRING, 2);
    put_string(&bytes, "<unk>"), put_string(&bytes, "<s>");
    ModelFile *file = open_good(&bytes);
    const Vocabulary *vocabulary = &file->vocabulary;
    ck_assert_int_eq(vocabulary->unknown, 0);
    ck_assert_int_eq(vocabulary->bos, 1);
    ck_assert_int_eq(vocabulary->eos, TOKEN_NONE); // would be 2, which is not a piece
    ck_assert_int_eq(vocabulary->padding, TOKEN_NONE);
    ck_assert_int_eq(vocabulary->end_count, 0);
    ck_assert(vocabulary->add_bos && !vocabulary->add_eos);
    expect_steps(vocabulary, "PREPEND REPLACE DECODE_REPLACE DECODE_STRIP");
    ck_assert_float_eq(vocabulary->scores[1], 0.0f);
    ck_assert_int_eq(vocabulary->types[1], PIECE_NORMAL);
    model_file_close(file);
}
END_TEST

START_TEST(vocabulary_keys_override_defaults)
{
    static const char *const flags[] = {"add_bos_token", "add_eos_token", "add_space_prefix",
                                        "remove_extra_whitespaces"};
    static const char *const ids[] = {"bos_token_id",     "eos_token_id", "unknown_token_id",
                                      "padding_token_id", "eot_token_id", "eom_token_id"};
    Text bytes = {0};
    put_header(&bytes, 3, 0, 14);
    put_key_text(&bytes, "tokenizer.ggml.model", "llama");
    put_key_text(&bytes, "tokenizer.ggml.pre", "family");
    put_key_text(&bytes, "tokenizer.chat_template", "{{ x }}");
    put_key(&bytes, "tokenizer.ggml.tokens", ARRAY), put_array(&bytes, STRING, 9);
    for (int i = 0; i < 9; i++)
        put_string(&bytes, arena_format(&arena, "piece%d", i));
    for (uint8_t i = 0; i < 4; i++) {
        put_key(&bytes, arena_format(&arena, "tokenizer.ggml.%s", flags[i]), BOOL);
        put_u8(&bytes, i % 2);
    }
    for (uint32_t i = 0; i < 6; i++)
        put_key_u32(&bytes, arena_format(&arena, "tokenizer.ggml.%s", ids[i]), 8 - i);
    ModelFile *file = open_good(&bytes);
    const Vocabulary *vocabulary = &file->vocabulary;
    ck_assert(!vocabulary->add_bos && vocabulary->add_eos);
    expect_steps(vocabulary, "SQUEEZE REPLACE DECODE_REPLACE DECODE_STRIP");
    ck_assert_int_eq(vocabulary->bos, 8);
    ck_assert_int_eq(vocabulary->eos, 7);
    ck_assert_int_eq(vocabulary->unknown, 6);
    ck_assert_int_eq(vocabulary->padding, 5);
    ck_assert_int_eq(vocabulary->end_count, 3);
    ck_assert_int_eq(vocabulary->ends[0], 7);
    ck_assert_int_eq(vocabulary->ends[1], 4);
    ck_assert_int_eq(vocabulary->ends[2], 3);
    ck_assert_str_eq(vocabulary->pre_tokenizer, "family");
    ck_assert_str_eq(vocabulary->chat_template, "{{ x }}");
    model_file_close(file);
}
END_TEST

START_TEST(scores_must_be_numbers)
{
    Text bytes = {0};
    put_header(&bytes, 3, 0, 3);
    put_key_text(&bytes, "tokenizer.ggml.model", "llama");
    put_key(&bytes, "tokenizer.ggml.tokens", ARRAY), put_array(&bytes, STRING, 1);
    put_string(&bytes, "a");
    put_key(&bytes, "tokenizer.ggml.scores", ARRAY), put_array(&bytes, F32, 1);
    put_u32(&bytes, 0x7fc00000);
    expect_refusal(&bytes, "the score of token 0 is not a number");
}
END_TEST

// A byte-level BPE vocabulary of "a", "b", "ab" with one merge.
static void put_merges(Text *bytes, const char *merge)
{
    put_header(bytes, 3, 0, 4);
    put_key_text(bytes, "tokenizer.ggml.model", "gpt2");
    put_key_text(bytes, "tokenizer.ggml.pre", "qwen2");
    put_key(bytes, "tokenizer.ggml.tokens", ARRAY), put_array(bytes, STRING, 3);
    put_string(bytes, "a"), put_string(bytes, "b"), put_string(bytes, "ab");
    put_key(bytes, "tokenizer.ggml.merges", ARRAY), put_array(bytes, STRING, 1);
    put_string(bytes, merge);
}

START_TEST(merges_become_pairs_of_ids)
{
    Text bytes = {0};
    put_merges(&bytes, "a b");
    ModelFile *file = open_good(&bytes);
    ck_assert_int_eq(file->vocabulary.kind, VOCABULARY_MERGES);
    ck_assert_str_eq(file->vocabulary.pre_tokenizer, "qwen2");
    ck_assert_int_eq(file->vocabulary.merge_count, 1);
    ck_assert_int_eq(file->vocabulary.merges[0].left, 0);
    ck_assert_int_eq(file->vocabulary.merges[0].right, 1);
    ck_assert_int_eq(file->vocabulary.merges[0].result, 2);
    model_file_close(file);
}
END_TEST

static const struct {
    const char *merge, *message;
} bad_merges[] = {
    {"a c", "merge 0 \"a c\": the right half is not a token"},
    {"c a", "merge 0 \"c a\": the left half is not a token"},
    {"ab", "merge 0 \"ab\" is not two pieces"},
    {"", "merge 0 \"\" is not two pieces"},
};

START_TEST(bad_merges_are_refused)
{
    Text bytes = {0};
    put_merges(&bytes, bad_merges[_i].merge);
    expect_refusal(&bytes, bad_merges[_i].message);
}
END_TEST

START_TEST(an_unknown_pre_tokenizer_is_refused)
{
    Text bytes = {0};
    put_header(&bytes, 3, 0, 3);
    put_key_text(&bytes, "tokenizer.ggml.model", "gpt2");
    put_key_text(&bytes, "tokenizer.ggml.pre", "nobodys");
    put_key(&bytes, "tokenizer.ggml.tokens", ARRAY), put_array(&bytes, STRING, 1);
    put_string(&bytes, "a");
    expect_refusal(&bytes, "pre-tokenizer \"nobodys\" is not known");
}
END_TEST

START_TEST(llama_vocabulary_is_read)
{
    const char *path =
        data_path("llama_vocabulary_is_read", "tokenizers/ggml-vocab/ggml-vocab-llama-spm.gguf");
    if (!path)
        return;
    ModelFile *file = open_data(path);
    const Vocabulary *vocabulary = &file->vocabulary;
    ck_assert_int_eq(vocabulary->count, 32000);
    ck_assert_int_eq(piece(file, "<s>"), 1);
    ck_assert_int_eq(piece(file, "<0x0A>"), 13);
    ck_assert_int_eq(vocabulary->types[13], PIECE_BYTE);
    ck_assert_int_eq(vocabulary->types[0], PIECE_UNKNOWN);
    ck_assert_int_eq(piece(file, "\xe2\x96\x81Hello"), 15043);
    for (int32_t id = 0; id < vocabulary->count; id++)
        ck_assert_int_eq(vocabulary_find(vocabulary, vocabulary->bytes + vocabulary->offsets[id],
                                         vocabulary->offsets[id + 1] - vocabulary->offsets[id]),
                         id);
    ck_assert_int_eq(vocabulary->bos, 1);
    ck_assert_int_eq(vocabulary->end_count, 1);
    ck_assert_int_eq(vocabulary->ends[0], 2);
    ck_assert(vocabulary->add_bos && !vocabulary->add_eos);
    ck_assert_str_eq(vocabulary->pre_tokenizer, "default");
    model_file_close(file);
}
END_TEST

START_TEST(phi_vocabulary_is_read)
{
    const char *path =
        data_path("phi_vocabulary_is_read", "tokenizers/ggml-vocab/ggml-vocab-phi-3.gguf");
    if (!path)
        return;
    ModelFile *file = open_data(path);
    const Vocabulary *vocabulary = &file->vocabulary;
    ck_assert_int_eq(vocabulary->count, 32064);
    ck_assert_int_eq(vocabulary->eos, 32000);
    ck_assert_int_eq(vocabulary->padding, 32000);
    ck_assert_int_eq(vocabulary->types[2], PIECE_USER);
    ck_assert_int_eq(vocabulary->end_count, 3);
    ck_assert_int_eq(vocabulary->ends[0], piece(file, "<|endoftext|>"));
    ck_assert_int_eq(vocabulary->ends[1], piece(file, "<|end|>"));
    ck_assert_int_eq(vocabulary->ends[2], piece(file, "</s>"));
    ck_assert_int_eq(strncmp(vocabulary->chat_template, "{{ bos_token }}", 15), 0);
    model_file_close(file);
}
END_TEST

START_TEST(gpt2_vocabulary_is_read)
{
    const char *path =
        data_path("gpt2_vocabulary_is_read", "tokenizers/ggml-vocab/ggml-vocab-gpt-2.gguf");
    if (!path)
        return;
    ModelFile *file = open_data(path);
    ck_assert_int_eq(file->vocabulary.merge_count, 50000);
    ck_assert_int_eq(file->vocabulary.merges[0].left, piece(file, " "));
    ck_assert_int_eq(file->vocabulary.merges[0].right, piece(file, "t"));
    ck_assert_int_eq(file->vocabulary.ends[0], 50256);
    ck_assert(!file->vocabulary.add_bos);
    model_file_close(file);
}
END_TEST

int main(void)
{
    TCase *cases = new_cases("gguf_vocabulary");
    tcase_add_test(cases, a_written_vocabulary_is_read);
    tcase_add_test(cases, a_normal_piece_is_no_end);
    LOOP(cases, bad_vocabularies_are_refused, bad_vocabularies);
    tcase_add_test(cases, vocabulary_defaults_are_llama_cpps);
    tcase_add_test(cases, vocabulary_keys_override_defaults);
    tcase_add_test(cases, scores_must_be_numbers);
    tcase_add_test(cases, merges_become_pairs_of_ids);
    tcase_add_test(cases, an_unknown_pre_tokenizer_is_refused);
    LOOP(cases, bad_merges_are_refused, bad_merges);
    tcase_add_test(cases, llama_vocabulary_is_read);
    tcase_add_test(cases, phi_vocabulary_is_read);
    tcase_add_test(cases, gpt2_vocabulary_is_read);
    return run_cases("gguf_vocabulary", cases);
}
