// Each stage of the sampler alone, their order, and the generator. What a cut keeps is seen from
// outside: the set of tokens that many draws give.
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/sample.h"
#include "tests/unit/run_suite.h"

enum { SMALL = 4, LARGE = 32000 };

static const float halves[SMALL] = {0.5f, 0.25f, 0.125f, 0.125f};

static SampleOptions no_cuts(void)
{
    SampleOptions options = sample_options_default();
    options.temperature = 1.0f;
    options.top_k = 0;
    options.top_p = 1.0f;
    options.min_p = 0.0f;
    options.seed = 1;
    return options;
}

static Sampler *open_sampler(const SampleOptions *options, int32_t count)
{
    Diag diag = {0};
    Sampler *sampler = sampler_new(options, count, &diag);
    ck_assert_msg(sampler != NULL, "%s", diag.message);
    return sampler;
}

// Draws again and again from the same logits and counts how often each token comes.
static void count_draws(const SampleOptions *options, const float *logits, int32_t count, int draws,
                        int *counts)
{
    Sampler *sampler = open_sampler(options, count);
    float *copy = malloc((size_t)count * sizeof *copy);
    ck_assert_ptr_nonnull(copy);
    memset(counts, 0, (size_t)count * sizeof *counts);
    for (int i = 0; i < draws; i++) {
        memcpy(copy, logits, (size_t)count * sizeof *copy);
        int32_t id = sampler_draw(sampler, copy);
        ck_assert_int_ge(id, 0);
        ck_assert_int_lt(id, count);
        counts[id]++;
    }
    free(copy);
    sampler_free(sampler);
}

// Bit i of the result: token i can be drawn.
static unsigned drawn_set(const SampleOptions *options, const float *logits, int32_t count)
{
    int counts[32];
    unsigned set = 0;
    count_draws(options, logits, count, 2000, counts);
    for (int32_t i = 0; i < count; i++)
        set |= (unsigned)(counts[i] > 0) << i;
    return set;
}

static unsigned set_of_probabilities(const SampleOptions *options, const float *probabilities)
{
    float logits[SMALL];
    for (int i = 0; i < SMALL; i++)
        logits[i] = logf(probabilities[i]) + 3.0f;
    return drawn_set(options, logits, SMALL);
}

static int32_t draw_once(const SampleOptions *options, float *logits, int32_t count)
{
    Sampler *sampler = open_sampler(options, count);
    int32_t id = sampler_draw(sampler, logits);
    sampler_free(sampler);
    return id;
}

START_TEST(generator_gives_the_published_numbers)
{
    Random seeded = random_seed(1234567), counted = {{1, 2, 3, 4}};
    ck_assert(seeded.state[0] == 6457827717110365317u);
    ck_assert(seeded.state[1] == 3203168211198807973u);
    ck_assert(seeded.state[2] == 9817491932198370423u);
    ck_assert(seeded.state[3] == 4593380528125082431u);
    ck_assert(random_next(&counted) == 11520u);
    ck_assert(random_next(&counted) == 0u);
    ck_assert(random_next(&counted) == 1509978240u);
    ck_assert(random_next(&counted) == 1215971899390074240u);
}
END_TEST

START_TEST(fraction_is_never_one)
{
    ck_assert(random_fraction(UINT64_MAX) == 1.0 - 0x1p-53);
    ck_assert(random_fraction(UINT64_MAX) < 1.0);
    ck_assert(random_fraction(0) == 0.0);
}
END_TEST

START_TEST(defaults_are_the_documented_ones)
{
    SampleOptions options = sample_options_default();
    ck_assert(options.temperature == 0.8f && options.top_k == 40 && options.top_p == 0.95f);
    ck_assert(options.min_p == 0.05f && options.typical_p == 1.0f);
    ck_assert(options.repeat_penalty == 1.0f && options.repeat_last_n == 64);
    ck_assert(options.frequency_penalty == 0.0f && options.presence_penalty == 0.0f);
    ck_assert(options.bias_count == 0 && options.biases == NULL);
}
END_TEST

START_TEST(seed_decides_the_draws)
{
    SampleOptions options = no_cuts();
    float logits[32] = {0};
    int same = 0;
    Sampler *first = open_sampler(&options, 32), *again = open_sampler(&options, 32);
    options.seed = 2;
    Sampler *other = open_sampler(&options, 32);
    for (int i = 0; i < 200; i++) {
        int32_t id = sampler_draw(first, logits);
        ck_assert_int_eq(id, sampler_draw(again, logits));
        same += id == sampler_draw(other, logits);
    }
    ck_assert_int_lt(same, 40);
    sampler_free(first);
    sampler_free(again);
    sampler_free(other);
}
END_TEST

START_TEST(temperature_zero_takes_the_first_maximum)
{
    SampleOptions options = sample_options_default();
    options.temperature = 0.0f;
    ck_assert_int_eq(draw_once(&options, (float[]){1, 3, 3, 2}, SMALL), 1);
    ck_assert_int_eq(draw_once(&options, (float[]){NAN, -5, NAN, -4}, SMALL), 3);
    ck_assert_int_eq(draw_once(&options, (float[]){-9, INFINITY, 1, INFINITY}, SMALL), 1);
}
END_TEST

START_TEST(greedy_skips_the_cuts)
{
    SampleOptions options = no_cuts();
    options.temperature = 0.0f;
    options.typical_p = 0.1f;
    ck_assert_int_eq(draw_once(&options, (float[]){3, 2, 1, 1}, SMALL), 0);
}
END_TEST

START_TEST(nothing_to_choose_is_told)
{
    SampleOptions options = sample_options_default();
    for (int greedy = 0; greedy < 2; greedy++) {
        options.temperature = greedy ? 0.0f : 1.0f;
        ck_assert_int_eq(draw_once(&options, (float[]){NAN, NAN, NAN, NAN}, SMALL), -1);
        ck_assert_int_eq(draw_once(&options, (float[]){-INFINITY, NAN, -INFINITY, NAN}, SMALL), -1);
    }
}
END_TEST

START_TEST(nan_and_banned_logits_are_never_chosen)
{
    SampleOptions options = no_cuts();
    const float logits[SMALL] = {NAN, 1, -INFINITY, 1};
    ck_assert_uint_eq(drawn_set(&options, logits, SMALL), 0xau);
    options.top_k = 3;
    options.top_p = 0.999f;
    options.typical_p = 0.999f;
    options.min_p = 0.001f;
    ck_assert_uint_eq(drawn_set(&options, logits, SMALL), 0xau);
}
END_TEST

START_TEST(infinite_logits_are_certain)
{
    SampleOptions options = no_cuts();
    const float logits[SMALL] = {1e30f, INFINITY, 0, INFINITY};
    ck_assert_uint_eq(drawn_set(&options, logits, SMALL), 0xau);
    options.typical_p = 0.99f;
    options.top_p = 0.99f;
    ck_assert_uint_eq(drawn_set(&options, logits, SMALL), 0xau);
}
END_TEST

START_TEST(bias_is_added_and_bans)
{
    const LogitBias biases[] = {{1, 2.5f}, {2, -INFINITY}, {1, 0.5f}};
    SampleOptions options = no_cuts();
    float logits[SMALL] = {0, 1, 9, 0};
    options.temperature = 0.0f;
    options.biases = biases;
    options.bias_count = 3;
    ck_assert_int_eq(draw_once(&options, logits, SMALL), 1);
    ck_assert(logits[1] == 4.0f);
    ck_assert(logits[2] == -INFINITY);
}
END_TEST

static void draw_after(const SampleOptions *options, const int32_t *window, int count,
                       float *logits)
{
    Sampler *sampler = open_sampler(options, SMALL);
    for (int i = 0; i < count; i++)
        sampler_accept(sampler, window[i]);
    sampler_draw(sampler, logits);
    sampler_free(sampler);
}

START_TEST(repeat_penalty_divides_or_multiplies_once)
{
    SampleOptions options = no_cuts();
    float logits[SMALL] = {2, -1, 0, 3};
    options.repeat_penalty = 2.0f;
    draw_after(&options, (int32_t[]){0, 1, 0, 2, 1, 0}, 6, logits);
    ck_assert(logits[0] == 1.0f);
    ck_assert(logits[1] == -2.0f);
    ck_assert(logits[2] == 0.0f);
    ck_assert(logits[3] == 3.0f);
}
END_TEST

START_TEST(frequency_counts_and_presence_does_not)
{
    SampleOptions options = no_cuts();
    float logits[SMALL] = {2, -1, 0, 3};
    options.frequency_penalty = 0.5f;
    options.presence_penalty = 0.25f;
    draw_after(&options, (int32_t[]){0, 1, 0, 0}, 4, logits);
    ck_assert(logits[0] == 0.25f);
    ck_assert(logits[1] == -1.75f);
    ck_assert(logits[2] == 0.0f);
}
END_TEST

START_TEST(repeat_penalty_comes_before_frequency)
{
    SampleOptions options = no_cuts();
    float logits[SMALL] = {2, 0, 0, 0};
    options.repeat_penalty = 2.0f;
    options.frequency_penalty = 0.5f;
    options.presence_penalty = 0.25f;
    draw_after(&options, (int32_t[]){0, 0, 0}, 3, logits);
    ck_assert(logits[0] == -0.75f);
}
END_TEST

START_TEST(window_forgets_the_oldest)
{
    SampleOptions options = no_cuts();
    float logits[SMALL] = {4, 4, 4, 4};
    options.frequency_penalty = 1.0f;
    options.repeat_last_n = 3;
    draw_after(&options, (int32_t[]){0, 1, 0, 2, 2, SMALL, -1}, 7, logits);
    ck_assert(logits[0] == 3.0f);
    ck_assert(logits[1] == 4.0f);
    ck_assert(logits[2] == 2.0f);
    options.repeat_last_n = 0;
    draw_after(&options, (int32_t[]){3, 3}, 2, logits);
    ck_assert(logits[3] == 4.0f);
}
END_TEST

START_TEST(penalties_are_the_same_at_every_draw)
{
    SampleOptions options = no_cuts();
    options.presence_penalty = 1.0f;
    Sampler *sampler = open_sampler(&options, SMALL);
    sampler_accept(sampler, 2);
    sampler_accept(sampler, 2);
    for (int i = 0; i < 3; i++) {
        float logits[SMALL] = {0};
        sampler_draw(sampler, logits);
        ck_assert(logits[2] == -1.0f);
    }
    sampler_free(sampler);
}
END_TEST

START_TEST(bias_comes_before_penalties)
{
    const LogitBias bias = {0, -2.0f};
    SampleOptions options = no_cuts();
    float logits[SMALL] = {1, 0, 0, 0};
    options.biases = &bias;
    options.bias_count = 1;
    options.repeat_penalty = 2.0f;
    draw_after(&options, (int32_t[]){0}, 1, logits);
    ck_assert(logits[0] == -2.0f);
}
END_TEST

START_TEST(top_k_keeps_the_highest)
{
    SampleOptions options = no_cuts();
    const float logits[SMALL] = {1, 2, 3, 2.5f};
    options.top_k = 2;
    ck_assert_uint_eq(drawn_set(&options, logits, SMALL), 0xcu);
    options.top_k = 1;
    ck_assert_uint_eq(drawn_set(&options, logits, SMALL), 0x4u);
}
END_TEST

START_TEST(top_k_prefers_lower_ids_among_equals)
{
    SampleOptions options = no_cuts();
    options.top_k = 2;
    ck_assert_uint_eq(drawn_set(&options, (float[]){1, 1, 1, 1}, SMALL), 0x3u);
    ck_assert_uint_eq(drawn_set(&options, (float[]){1, 1, 2, 1}, SMALL), 0x5u);
}
END_TEST

START_TEST(top_k_of_nothing_or_everything_keeps_all)
{
    SampleOptions options = no_cuts();
    for (int32_t k = 0; k < 100; k = k == 0 ? SMALL : k * 5) {
        options.top_k = k;
        ck_assert_uint_eq(set_of_probabilities(&options, halves), 0xfu);
    }
}
END_TEST

static int descending(const void *left, const void *right)
{
    float a = *(const float *)left, b = *(const float *)right;
    return (a < b) - (a > b);
}

// At a very high temperature every survivor is as likely as another, so all of them show.
START_TEST(top_k_of_a_large_vocabulary_agrees_with_sorting)
{
    enum { K = 40, LEVELS = 3000 };
    static float logits[LARGE], sorted[LARGE];
    static int counts[LARGE];
    SampleOptions options = no_cuts();
    options.temperature = 1e6f;
    options.top_k = K;
    Random random = random_seed(7);
    for (int i = 0; i < LARGE; i++)
        sorted[i] = logits[i] = (float)(random_next(&random) % LEVELS) - LEVELS / 2;
    qsort(sorted, LARGE, sizeof *sorted, descending);
    count_draws(&options, logits, LARGE, 4000, counts);
    int at_threshold = 0;
    for (int i = 0; i < K; i++)
        at_threshold += sorted[i] == sorted[K - 1];
    for (int i = 0; i < LARGE; i++) {
        bool wanted =
            logits[i] > sorted[K - 1] || (logits[i] == sorted[K - 1] && at_threshold-- > 0);
        ck_assert_int_eq(counts[i] > 0, wanted);
    }
}
END_TEST

// Surprises are 1, 2, 3, 3 bits, the entropy 1.75 bits: the distances 0.75, 0.25, 1.25, 1.25.
START_TEST(typical_keeps_what_is_near_the_entropy)
{
    SampleOptions options = no_cuts();
    options.typical_p = 0.2f;
    ck_assert_uint_eq(set_of_probabilities(&options, halves), 0x2u);
    options.typical_p = 0.5f;
    ck_assert_uint_eq(set_of_probabilities(&options, halves), 0x3u);
    options.typical_p = 0.99f;
    ck_assert_uint_eq(set_of_probabilities(&options, halves), 0xfu);
}
END_TEST

START_TEST(top_p_keeps_the_crossing_token)
{
    SampleOptions options = no_cuts();
    options.top_p = 0.45f;
    ck_assert_uint_eq(set_of_probabilities(&options, halves), 0x1u);
    options.top_p = 0.55f;
    ck_assert_uint_eq(set_of_probabilities(&options, halves), 0x3u);
    options.top_p = 0.8f;
    ck_assert_uint_eq(set_of_probabilities(&options, halves), 0x7u);
}
END_TEST

START_TEST(top_p_of_zero_keeps_one_and_of_one_keeps_all)
{
    SampleOptions options = no_cuts();
    options.top_p = 0.0f;
    ck_assert_uint_eq(set_of_probabilities(&options, halves), 0x1u);
    ck_assert_uint_eq(drawn_set(&options, (float[]){1, 1, 1, 1}, SMALL), 0x1u);
    options.top_p = 1.0f;
    ck_assert_uint_eq(set_of_probabilities(&options, halves), 0xfu);
}
END_TEST

START_TEST(min_p_is_a_fraction_of_the_likeliest)
{
    SampleOptions options = no_cuts();
    options.min_p = 0.3f;
    ck_assert_uint_eq(set_of_probabilities(&options, halves), 0x3u);
    options.min_p = 0.2f;
    ck_assert_uint_eq(set_of_probabilities(&options, halves), 0xfu);
}
END_TEST

// A second token at logit x has the fraction exp(x) of the first: a threshold a millionth below
// keeps it, one a millionth above does not.
START_TEST(weights_are_exponentials)
{
    SampleOptions options = no_cuts();
    for (int step = 1; step <= 40; step++) {
        const float logits[] = {0.0f, -0.1f * (float)step};
        double fraction = exp((double)logits[1]);
        options.min_p = (float)(fraction * (1 - 1e-6));
        ck_assert_uint_eq(drawn_set(&options, logits, 2), 0x3u);
        options.min_p = (float)(fraction * (1 + 1e-6));
        ck_assert_uint_eq(drawn_set(&options, logits, 2), 0x1u);
    }
}
END_TEST

START_TEST(min_p_of_one_keeps_the_maxima)
{
    SampleOptions options = no_cuts();
    options.min_p = 1.0f;
    ck_assert_uint_eq(set_of_probabilities(&options, halves), 0x1u);
    ck_assert_uint_eq(drawn_set(&options, (float[]){2, 1, 2, 1}, SMALL), 0x5u);
}
END_TEST

// At 0.5 the ratios are 16 : 4 : 1 : 1.
START_TEST(temperature_comes_before_the_cuts)
{
    SampleOptions options = no_cuts();
    options.temperature = 0.5f;
    options.top_p = 0.7f;
    ck_assert_uint_eq(set_of_probabilities(&options, halves), 0x1u);
    options.top_p = 1.0f;
    options.min_p = 0.3f;
    ck_assert_uint_eq(set_of_probabilities(&options, halves), 0x1u);
}
END_TEST

// Of two tokens, 2/3 and 1/3, the first is nearer to the entropy; of all four it is the second.
START_TEST(top_k_comes_before_typical)
{
    SampleOptions options = no_cuts();
    options.top_k = 2;
    options.typical_p = 0.2f;
    ck_assert_uint_eq(set_of_probabilities(&options, halves), 0x1u);
}
END_TEST

START_TEST(typical_comes_before_top_p)
{
    SampleOptions options = no_cuts();
    options.typical_p = 0.2f;
    options.top_p = 0.4f;
    ck_assert_uint_eq(set_of_probabilities(&options, halves), 0x2u);
}
END_TEST

// Among the two that min-p keeps, the first alone has 4/7 of the mass.
START_TEST(top_p_comes_before_min_p)
{
    SampleOptions options = no_cuts();
    options.top_p = 0.5f;
    options.min_p = 0.7f;
    ck_assert_uint_eq(set_of_probabilities(&options, (float[]){0.4f, 0.3f, 0.2f, 0.1f}), 0x3u);
}
END_TEST

// Pearson's statistic of 100,000 draws, 9 degrees of freedom: above 27.9 once in a thousand seeds.
static double chi_square(const SampleOptions *options)
{
    enum { COUNT = 10, DRAWS = 100000 };
    float logits[COUNT];
    double weights[COUNT], total = 0.0, statistic = 0.0;
    int counts[COUNT];
    for (int i = 0; i < COUNT; i++) {
        logits[i] = 0.3f * (float)(i * 7 % COUNT);
        weights[i] = exp((double)logits[i] / (double)options->temperature);
        total += weights[i];
    }
    count_draws(options, logits, COUNT, DRAWS, counts);
    for (int i = 0; i < COUNT; i++) {
        double expected = DRAWS * weights[i] / total;
        statistic += (counts[i] - expected) * (counts[i] - expected) / expected;
    }
    return statistic;
}

START_TEST(draws_follow_the_distribution)
{
    SampleOptions options = no_cuts();
    ck_assert_double_lt(chi_square(&options), 27.9);
    options.temperature = 0.7f;
    options.seed = 99;
    ck_assert_double_lt(chi_square(&options), 27.9);
    options.top_k = 10;
    options.top_p = 0.999999f;
    ck_assert_double_lt(chi_square(&options), 27.9);
}
END_TEST

static void expect_refusal(const SampleOptions *options, const char *name)
{
    Diag diag = {0};
    ck_assert_ptr_null(sampler_new(options, SMALL, &diag));
    ck_assert_msg(strstr(diag.message, name) != NULL, "%s", diag.message);
}

START_TEST(options_out_of_range_are_refused_by_name)
{
    const struct {
        const char *name;
        size_t offset;
        float value;
    } bad[] = {{"temperature", offsetof(SampleOptions, temperature), -0.1f},
               {"temperature", offsetof(SampleOptions, temperature), NAN},
               {"typical_p", offsetof(SampleOptions, typical_p), 1.1f},
               {"top_p", offsetof(SampleOptions, top_p), -0.1f},
               {"min_p", offsetof(SampleOptions, min_p), NAN},
               {"repeat_penalty", offsetof(SampleOptions, repeat_penalty), 0.0f},
               {"frequency_penalty", offsetof(SampleOptions, frequency_penalty), INFINITY},
               {"presence_penalty", offsetof(SampleOptions, presence_penalty), -INFINITY}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        SampleOptions options = no_cuts();
        memcpy((char *)&options + bad[i].offset, &bad[i].value, sizeof bad[i].value);
        expect_refusal(&options, bad[i].name);
    }
    SampleOptions options = no_cuts();
    options.top_k = -1;
    expect_refusal(&options, "top_k");
    options = no_cuts();
    options.repeat_last_n = -1;
    expect_refusal(&options, "repeat_last_n");
}
END_TEST

START_TEST(biases_of_foreign_tokens_are_refused)
{
    const LogitBias foreign = {SMALL, 1.0f}, unordered = {0, NAN};
    SampleOptions options = no_cuts();
    options.biases = &foreign;
    options.bias_count = 1;
    expect_refusal(&options, "token 4");
    options.biases = &unordered;
    expect_refusal(&options, "not a number");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {generator_gives_the_published_numbers,
                                  fraction_is_never_one,
                                  defaults_are_the_documented_ones,
                                  seed_decides_the_draws,
                                  temperature_zero_takes_the_first_maximum,
                                  greedy_skips_the_cuts,
                                  nothing_to_choose_is_told,
                                  nan_and_banned_logits_are_never_chosen,
                                  infinite_logits_are_certain,
                                  bias_is_added_and_bans,
                                  repeat_penalty_divides_or_multiplies_once,
                                  frequency_counts_and_presence_does_not,
                                  repeat_penalty_comes_before_frequency,
                                  window_forgets_the_oldest,
                                  penalties_are_the_same_at_every_draw,
                                  bias_comes_before_penalties,
                                  top_k_keeps_the_highest,
                                  top_k_prefers_lower_ids_among_equals,
                                  top_k_of_nothing_or_everything_keeps_all,
                                  top_k_of_a_large_vocabulary_agrees_with_sorting,
                                  typical_keeps_what_is_near_the_entropy,
                                  top_p_keeps_the_crossing_token,
                                  top_p_of_zero_keeps_one_and_of_one_keeps_all,
                                  min_p_is_a_fraction_of_the_likeliest,
                                  weights_are_exponentials,
                                  min_p_of_one_keeps_the_maxima,
                                  temperature_comes_before_the_cuts,
                                  top_k_comes_before_typical,
                                  typical_comes_before_top_p,
                                  top_p_comes_before_min_p,
                                  draws_follow_the_distribution,
                                  options_out_of_range_are_refused_by_name,
                                  biases_of_foreign_tokens_are_refused};
    TCase *stages = tcase_create("stages");
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++)
        tcase_add_test(stages, tests[i]);
    return run_cases("sample", stages);
}
