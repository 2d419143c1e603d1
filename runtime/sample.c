// Sampling. Probabilities are doubles; weights are exp((logit - maximum) / temperature), kept
// without normalising, since every cut asks for a fraction of a sum or of the maximum. exp is
// written out below from IEEE operations, because those of the C libraries differ in the last bit:
// the same logits and seed give the same token everywhere (built without contraction of a * b + c,
// -ffp-contract=off).
//
// Nothing sorts the vocabulary. Top-k keeps a heap of the k best with the worst on top, and passes
// over blocks of logits that have none above it; the mass cuts pop a heap only until the mass is
// reached.
#include "runtime/sample.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Candidate {
    double key;    // what the heap in use orders by, higher first
    double weight; // unnormalised probability
    int32_t id;
} Candidate;

struct Sampler {
    SampleOptions options;
    LogitBias *biases;
    int32_t logit_count;
    Random random;
    Candidate *candidates; // logit_count
    int32_t candidate_count;
    int32_t *window; // ring of the last accepted ids
    int32_t window_count, window_next;
    int32_t *occurrences; // by id: how often it is in the window
};

static uint64_t rotate_left(uint64_t value, int bits)
{
    return value << bits | value >> (64 - bits);
}

Random random_seed(uint64_t seed)
{
    Random random;
    for (int i = 0; i < 4; i++) {
        seed += 0x9e3779b97f4a7c15u;
        uint64_t mixed = (seed ^ seed >> 30) * 0xbf58476d1ce4e5b9u;
        mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
        random.state[i] = mixed ^ mixed >> 31;
    }
    return random;
}

uint64_t random_next(Random *random)
{
    uint64_t *state = random->state;
    uint64_t result = rotate_left(state[1] * 5, 7) * 9;
    uint64_t shifted = state[1] << 17;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = rotate_left(state[3], 45);
    return result;
}

double random_fraction(uint64_t bits)
{
    return (double)(bits >> 11) * 0x1p-53;
}

// exp for x <= 0 within 2 ulp: x = n ln 2 + r, |r| <= ln 2 / 2, Taylor's series to r^13. Below
// e^-708, where doubles lose bits, it is 0.
static double exp_negative(double x)
{
    static const double reciprocals[] = {1.0 / 6227020800.0,
                                         1.0 / 479001600.0,
                                         1.0 / 39916800.0,
                                         1.0 / 3628800.0,
                                         1.0 / 362880.0,
                                         1.0 / 40320.0,
                                         1.0 / 5040.0,
                                         1.0 / 720.0,
                                         1.0 / 120.0,
                                         1.0 / 24.0,
                                         1.0 / 6.0,
                                         1.0 / 2.0,
                                         1.0,
                                         1.0};
    // ln 2 in two parts; the first has so few bits that n times it is exact.
    const double ln2_high = 0x1.62e42fee00000p-1, ln2_low = 0x1.a39ef35793c76p-33;
    if (!(x > -708.0))
        return 0.0;
    int n = (int)(x * 1.4426950408889634 - 0.5);
    double r = (x - n * ln2_high) - n * ln2_low, sum = 0.0;
    for (size_t i = 0; i < sizeof reciprocals / sizeof reciprocals[0]; i++)
        sum = sum * r + reciprocals[i];
    uint64_t bits = (uint64_t)(n + 1023) << 52;
    double scale;
    memcpy(&scale, &bits, sizeof scale);
    return sum * scale;
}

SampleOptions sample_options_default(void)
{
    return (SampleOptions){.temperature = 0.8f,
                           .top_k = 40,
                           .typical_p = 1.0f,
                           .top_p = 0.95f,
                           .min_p = 0.05f,
                           .repeat_penalty = 1.0f,
                           .repeat_last_n = 64};
}

enum { WINDOW_MAX = 1 << 24 };

static bool check_range(const char *name, float value, float low, float high, Diag *diag)
{
    if (value >= low && value <= high)
        return true;
    return diag_fail(diag, (Where){0}, "sampling: %s is %g but must lie between %g and %g", name,
                     (double)value, (double)low, (double)high);
}

static bool check_counts(const SampleOptions *options, Diag *diag)
{
    if (options->top_k < 0)
        return diag_fail(diag, (Where){0}, "sampling: top_k is %d but must be at least 0 (0: off)",
                         options->top_k);
    if (options->repeat_last_n < 0 || options->repeat_last_n > WINDOW_MAX)
        return diag_fail(diag, (Where){0},
                         "sampling: repeat_last_n is %d but must lie between 0 and %d",
                         options->repeat_last_n, WINDOW_MAX);
    return true;
}

static bool check_biases(const SampleOptions *options, int32_t logit_count, Diag *diag)
{
    for (int32_t i = 0; i < options->bias_count; i++) {
        const LogitBias *bias = &options->biases[i];
        if (bias->id < 0 || bias->id >= logit_count)
            return diag_fail(diag, (Where){0},
                             "sampling: logit bias for token %d, but the model has tokens 0 to %d",
                             bias->id, logit_count - 1);
        if (isnan(bias->bias))
            return diag_fail(diag, (Where){0}, "sampling: logit bias of token %d is not a number",
                             bias->id);
    }
    return true;
}

static bool check_options(const SampleOptions *options, int32_t logit_count, Diag *diag)
{
    const float high = 1e6f, low = 1e-6f;
    return check_range("temperature", options->temperature, 0.0f, high, diag) &&
           check_range("typical_p", options->typical_p, 0.0f, 1.0f, diag) &&
           check_range("top_p", options->top_p, 0.0f, 1.0f, diag) &&
           check_range("min_p", options->min_p, 0.0f, 1.0f, diag) &&
           check_range("repeat_penalty", options->repeat_penalty, low, high, diag) &&
           check_range("frequency_penalty", options->frequency_penalty, -high, high, diag) &&
           check_range("presence_penalty", options->presence_penalty, -high, high, diag) &&
           check_counts(options, diag) && check_biases(options, logit_count, diag);
}

static bool allocate(Sampler *sampler)
{
    size_t logits = (size_t)sampler->logit_count, biases = (size_t)sampler->options.bias_count;
    sampler->biases = calloc(biases + 1, sizeof *sampler->biases);
    sampler->candidates = calloc(logits + 1, sizeof *sampler->candidates);
    sampler->occurrences = calloc(logits + 1, sizeof *sampler->occurrences);
    sampler->window = calloc((size_t)sampler->options.repeat_last_n + 1, sizeof *sampler->window);
    return sampler->biases && sampler->candidates && sampler->occurrences && sampler->window;
}

Sampler *sampler_new(const SampleOptions *options, int32_t logit_count, Diag *diag)
{
    assert(logit_count > 0);
    assert(options->bias_count >= 0);
    if (!check_options(options, logit_count, diag))
        return NULL;
    Sampler *sampler = calloc(1, sizeof *sampler);
    if (sampler) {
        sampler->options = *options;
        sampler->options.biases = NULL;
        sampler->logit_count = logit_count;
        sampler->random = random_seed(options->seed);
    }
    if (!sampler || !allocate(sampler)) {
        diag_fail(diag, (Where){0}, "sampling: out of memory");
        sampler_free(sampler);
        return NULL;
    }
    if (options->bias_count)
        memcpy(sampler->biases, options->biases,
               (size_t)options->bias_count * sizeof *sampler->biases);
    return sampler;
}

void sampler_free(Sampler *sampler)
{
    if (!sampler)
        return;
    free(sampler->biases);
    free(sampler->candidates);
    free(sampler->occurrences);
    free(sampler->window);
    free(sampler);
}

void sampler_accept(Sampler *sampler, int32_t id)
{
    int32_t size = sampler->options.repeat_last_n;
    if (size == 0 || id < 0 || id >= sampler->logit_count)
        return;
    int32_t *slot = &sampler->window[sampler->window_next];
    if (sampler->window_count == size)
        sampler->occurrences[*slot]--;
    else
        sampler->window_count++;
    *slot = id;
    sampler->occurrences[id]++;
    sampler->window_next = (sampler->window_next + 1) % size;
}

static void apply_biases(const Sampler *sampler, float *logits)
{
    for (int32_t i = 0; i < sampler->options.bias_count; i++)
        logits[sampler->biases[i].id] += sampler->biases[i].bias;
}

static float penalise(const SampleOptions *options, float logit, int32_t occurrences)
{
    if (logit > 0.0f)
        logit /= options->repeat_penalty;
    else
        logit *= options->repeat_penalty;
    return logit - (float)occurrences * options->frequency_penalty - options->presence_penalty;
}

static void apply_penalties(Sampler *sampler, float *logits)
{
    const SampleOptions *options = &sampler->options;
    int32_t *occurrences = sampler->occurrences;
    // A negative count marks an id that has been penalised, until all have been.
    for (int32_t i = 0; i < sampler->window_count; i++) {
        int32_t id = sampler->window[i];
        if (occurrences[id] > 0) {
            logits[id] = penalise(options, logits[id], occurrences[id]);
            occurrences[id] = -occurrences[id];
        }
    }
    for (int32_t i = 0; i < sampler->window_count; i++)
        occurrences[sampler->window[i]] = abs(occurrences[sampler->window[i]]);
}

// Most blocks of logits hold nothing above what was found before them; to see that takes a few
// vector instructions of the machine that the compiler builds for.
typedef float Lanes __attribute__((vector_size(16)));
typedef int32_t LaneMask __attribute__((vector_size(16)));
enum { BLOCK = 64, LANES = sizeof(Lanes) / sizeof(float) };

static inline bool block_has_above(const float *logits, float threshold)
{
    const Lanes least = {threshold, threshold, threshold, threshold};
    LaneMask above = {0};
#pragma GCC unroll 16
    for (int i = 0; i < BLOCK; i += LANES) {
        Lanes lanes;
        memcpy(&lanes, logits + i, sizeof lanes);
        above |= lanes > least;
    }
    return above[0] | above[1] | above[2] | above[3];
}

// The first id from `id` on whose logit is above the threshold; `count` if there is none.
static int32_t next_above(const float *logits, int32_t id, int32_t count, float threshold)
{
    while (id + BLOCK <= count && !block_has_above(logits + id, threshold))
        id += BLOCK;
    while (id < count && !(logits[id] > threshold))
        id++;
    return id;
}

static int32_t first_maximum(const float *logits, int32_t count)
{
    int32_t best = -1;
    float highest = -INFINITY;
    for (int32_t id = 0; (id = next_above(logits, id, count, highest)) < count; id++) {
        highest = logits[id];
        best = id;
    }
    return best;
}

static inline bool comes_before(const Candidate *a, const Candidate *b)
{
    return a->key > b->key || (a->key == b->key && a->id < b->id);
}

// Whether a belongs above b in a heap that has its best, or its worst, on top.
static inline bool is_above(const Candidate *a, const Candidate *b, bool worst_on_top)
{
    return worst_on_top ? comes_before(b, a) : comes_before(a, b);
}

static inline void sift_down(Candidate *heap, int32_t count, int32_t at, bool worst_on_top)
{
    Candidate moved = heap[at];
    for (int32_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && is_above(&heap[child + 1], &heap[child], worst_on_top))
            child++;
        if (!is_above(&heap[child], &moved, worst_on_top))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moved;
}

static void make_heap(Candidate *heap, int32_t count, bool worst_on_top)
{
    for (int32_t at = count / 2 - 1; at >= 0; at--)
        sift_down(heap, count, at, worst_on_top);
}

static void swap_candidates(Candidate *a, Candidate *b)
{
    Candidate kept = *a;
    *a = *b;
    *b = kept;
}

// The k best logits in descending order; all that can be chosen, in order of id, if k does not
// bind.
static void select_candidates(Sampler *sampler, const float *logits, int32_t k)
{
    Candidate *heap = sampler->candidates;
    int32_t count = 0, id = 0;
    if (k == 0 || k > sampler->logit_count)
        k = sampler->logit_count;
    for (; id < sampler->logit_count && count < k; id++)
        if (logits[id] > -INFINITY)
            heap[count++] = (Candidate){(double)logits[id], 0.0, id};
    sampler->candidate_count = count;
    if (count < k || k == sampler->logit_count)
        return;
    make_heap(heap, k, true);
    // Ids ascend: an equal logit comes after the worst.
    while ((id = next_above(logits, id, sampler->logit_count, (float)heap[0].key)) <
           sampler->logit_count) {
        heap[0] = (Candidate){(double)logits[id], 0.0, id};
        sift_down(heap, k, 0, true);
        id++;
    }
    for (int32_t last = k - 1; last > 0; last--) {
        swap_candidates(&heap[0], &heap[last]);
        sift_down(heap, last, 0, true);
    }
}

static double candidate_maximum(const Candidate *candidates, int32_t count)
{
    double highest = -INFINITY;
    for (int32_t i = 0; i < count; i++)
        if (candidates[i].key > highest)
            highest = candidates[i].key;
    return highest;
}

// From keys that are logits to weights relative to the likeliest, whose weight is 1 even where it
// is infinite.
static void weigh_candidates(Sampler *sampler)
{
    Candidate *candidates = sampler->candidates;
    double highest = candidate_maximum(candidates, sampler->candidate_count);
    for (int32_t i = 0; i < sampler->candidate_count; i++) {
        double scaled = (candidates[i].key - highest) / (double)sampler->options.temperature;
        candidates[i].key = candidates[i].key == highest ? 0.0 : scaled;
        candidates[i].weight = exp_negative(candidates[i].key);
    }
}

static double total_weight(const Sampler *sampler)
{
    double total = 0.0;
    for (int32_t i = 0; i < sampler->candidate_count; i++)
        total += sampler->candidates[i].weight;
    return total;
}

// Keeps the candidates of highest key, in that order, until their weight reaches the fraction of
// the total; the one that crosses it is kept, so at least one is.
static void keep_mass(Sampler *sampler, double fraction)
{
    Candidate *heap = sampler->candidates;
    int32_t count = sampler->candidate_count, left = count;
    double wanted = fraction * total_weight(sampler), mass = 0.0;
    make_heap(heap, count, false);
    do {
        mass += heap[0].weight;
        swap_candidates(&heap[0], &heap[--left]);
        sift_down(heap, left, 0, false);
    } while (left > 0 && mass < wanted);
    int32_t kept = count - left;
    for (int32_t i = 0; i < kept / 2; i++)
        swap_candidates(&heap[left + i], &heap[count - 1 - i]);
    memmove(heap, heap + left, (size_t)kept * sizeof *heap);
    sampler->candidate_count = kept;
}

// Locally typical sampling (Meister et al. 2022): the tokens whose surprise -log p is nearest to
// the entropy H. With x = log weight and Z the sum of weights, -log p - H = E[x] - x: log Z
// cancels.
static void keep_typical(Sampler *sampler)
{
    Candidate *candidates = sampler->candidates;
    double expected = 0.0, total = total_weight(sampler);
    for (int32_t i = 0; i < sampler->candidate_count; i++)
        if (candidates[i].weight > 0.0)
            expected += candidates[i].weight / total * candidates[i].key;
    for (int32_t i = 0; i < sampler->candidate_count; i++)
        candidates[i].key = -fabs(expected - candidates[i].key);
    keep_mass(sampler, (double)sampler->options.typical_p);
}

static void keep_likeliest(Sampler *sampler)
{
    for (int32_t i = 0; i < sampler->candidate_count; i++)
        sampler->candidates[i].key = sampler->candidates[i].weight;
    keep_mass(sampler, (double)sampler->options.top_p);
}

static void keep_above_minimum(Sampler *sampler)
{
    Candidate *candidates = sampler->candidates;
    double highest = 0.0;
    for (int32_t i = 0; i < sampler->candidate_count; i++)
        highest = candidates[i].weight > highest ? candidates[i].weight : highest;
    int32_t kept = 0;
    for (int32_t i = 0; i < sampler->candidate_count; i++)
        if (candidates[i].weight >= (double)sampler->options.min_p * highest)
            candidates[kept++] = candidates[i];
    sampler->candidate_count = kept;
}

static int32_t draw_candidate(Sampler *sampler)
{
    const Candidate *candidates = sampler->candidates;
    double total = total_weight(sampler), mass = 0.0;
    double wanted = random_fraction(random_next(&sampler->random)) * total;
    int32_t last = candidates[0].id;
    for (int32_t i = 0; i < sampler->candidate_count; i++) {
        mass += candidates[i].weight;
        if (wanted < mass)
            return candidates[i].id;
        if (candidates[i].weight > 0.0)
            last = candidates[i].id;
    }
    return last; // the product was rounded up to the total
}

int32_t sampler_draw(Sampler *sampler, float *logits)
{
    const SampleOptions *options = &sampler->options;
    apply_biases(sampler, logits);
    apply_penalties(sampler, logits);
    if (options->temperature == 0.0f)
        return first_maximum(logits, sampler->logit_count);
    select_candidates(sampler, logits, options->top_k);
    if (sampler->candidate_count == 0)
        return -1;
    weigh_candidates(sampler);
    if (options->typical_p < 1.0f)
        keep_typical(sampler);
    if (options->top_p < 1.0f)
        keep_likeliest(sampler);
    if (options->min_p > 0.0f)
        keep_above_minimum(sampler);
    return draw_candidate(sampler);
}
