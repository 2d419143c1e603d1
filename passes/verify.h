// Translation validation (--verify): after every pass the module is evaluated on seeded steps and
// compared with what it was before. Every pass but numerics must give equal bits; numerics is told
// by what it costs.
#ifndef PASSES_VERIFY_H
#define PASSES_VERIFY_H

#include "passes/eval.h"
#include "passes/passes.h"

typedef struct Verify Verify;

// What one stage showed.
typedef struct VerifyReport {
    bool unchanged;     // the pass left the text as it was: nothing was evaluated
    bool no_values;     // rows of weights are cut or joined by ops: not evaluated before fold
    bool exempt;        // bits may change; the two figures below are meant
    double divergence;  // mean over rows of the KL divergence of the logits, in nats
    double difference;  // largest absolute difference of an output's element
    int64_t compared;   // values compared, over all steps
    int64_t not_finite; // elements of outputs that are infinite or NaN
} VerifyReport;

// Called before a stage is evaluated (report NULL) and after it. PASS_COUNT: before the pipeline.
typedef void VerifyTold(void *context, PassId pass, const VerifyReport *report);

typedef struct VerifyOptions {
    EvalTensor *tensor; // bytes of every file tensor that the recipes name; never NULL
    void *tensor_context;
    VerifyTold *told; // may be NULL
    void *told_context;
} VerifyOptions;

// Makes itself the check of the pipeline, whose structural verifier it runs itself. Both must
// outlive it.
Verify *verify_new(PipelineOptions *pipeline, const VerifyOptions *options);
void verify_free(Verify *verify);

// The pipeline's check. False with a message that names the pass, the first value that differs,
// and the rewrite of a rule if one alone is to blame.
bool verify_check(void *verify, PassId pass, Module *module, Diag *diag);

// What replays the failure: the text before the pass, and the options that let the pass alone run.
typedef struct VerifyFailure {
    PassId pass; // PASS_COUNT: nothing failed
    const char *text;
    size_t text_length;
    uint32_t disabled; // earlier passes of the same level, and those disabled before
    bool limit_rewrites;
    int64_t rewrite_limit;
} VerifyFailure;

VerifyFailure verify_failure(const Verify *verify);
// Steps and the largest T of the run that verify_check began.
void verify_size(const Verify *verify, int32_t *steps, int64_t *most_tokens);

#endif
