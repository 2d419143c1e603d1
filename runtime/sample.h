// From logits to the next token.
//
// The order is fixed: logit biases, repetition/frequency/presence penalties, temperature, top-k,
// typical, top-p, min-p, draw. Each cut works on what the one before it left. Equal logits are
// ordered by id, lower first, so that a result depends on logits, options and seed alone.
#ifndef RUNTIME_SAMPLE_H
#define RUNTIME_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>

#include "graph/base/diag.h"

// xoshiro256** 1.0 (Blackman & Vigna, "Scrambled Linear Pseudorandom Number Generators", 2018), its
// state filled from the seed by SplitMix64 as its authors advise.
typedef struct Random {
    uint64_t state[4];
} Random;

Random random_seed(uint64_t seed);
uint64_t random_next(Random *random);
// The upper 53 bits as a fraction in [0, 1): the largest result is 1 - 2^-53, never 1.
double random_fraction(uint64_t bits);

typedef struct LogitBias {
    int32_t id;
    float bias; // added to the logit; -INFINITY bans the token
} LogitBias;

typedef struct SampleOptions {
    float temperature;       // divides the logits; 0: the first maximum, none of the cuts
    int32_t top_k;           // keep the k highest logits; 0: off
    float typical_p;         // keep the tokens of most typical surprise up to this mass; 1: off
    float top_p;             // keep the likeliest up to this mass and the crossing one; 1: off
    float min_p;             // keep what is at least this fraction of the likeliest; 0: off
    float repeat_penalty;    // logits > 0 are divided by it, others multiplied; 1: off
    float frequency_penalty; // subtracted once for each time the token is in the window
    float presence_penalty;  // subtracted once if it is there at all
    int32_t repeat_last_n;   // tokens in the window; 0: no penalties
    uint64_t seed;
    const LogitBias *biases; // read only while the sampler is made
    int32_t bias_count;
} SampleOptions;

// Temperature 0.8, top-k 40, top-p 0.95, min-p 0.05, window 64; everything else off, seed 0.
SampleOptions sample_options_default(void);

typedef struct Sampler Sampler;

// For `logit_count` logits; nothing is allocated after this. NULL with a message when an option is
// out of its range or memory runs out.
Sampler *sampler_new(const SampleOptions *options, int32_t logit_count, Diag *diag);
void sampler_free(Sampler *sampler);

// Chooses a token; biases and penalties are applied to the logits in place. NaN and -INFINITY are
// never chosen, and +INFINITY is certain; where nothing can be chosen (all NaN or banned) the
// result is -1 and the caller must stop: the generator has not moved.
int32_t sampler_draw(Sampler *sampler, float *logits);

// Puts a token of the sequence, prompt or reply, into the penalty window. Ids outside the logits
// are left out.
void sampler_accept(Sampler *sampler, int32_t id);

#endif
