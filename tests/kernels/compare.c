#include "tests/kernels/compare.h"

KernelOperand f32_new(int64_t rows, int64_t columns, uint64_t seed)
{
    KernelOperand operand = operand_new(DTYPE_f32, LAYOUT_plain, rows, columns);
    operand_fill(&operand, seed, FILL_random);
    return operand;
}

float *f32_of(const KernelOperand *operand, int64_t row)
{
    return (float *)operand->data + row * operand->columns;
}

// A second call on the same operands, with results of its own; in place, result 0 is operand 0's
// copy.
static Case case_again(const Case *test, bool in_place)
{
    Case again = *test;
    for (int32_t i = 0; i < test->result_count; i++)
        again.results[i] = operand_new(test->results[i].dtype, test->results[i].layout,
                                       test->results[i].rows, test->results[i].columns);
    if (in_place) {
        operand_free(&again.results[0]);
        again.results[0] = again.operands[0] = operand_copy(&test->operands[0]);
    }
    return again;
}

void compare_rows(Case *test, Op op, bool in_place, Random *random)
{
    case_run(reference_of(op), test, random);
    for (int32_t i = 0; i < kernel_count; i++) {
        const KernelRow *row = &kernel_table[i];
        if (row->op != op || row->target > target_native())
            continue;
        Case again = case_again(test, in_place);
        case_run(row, &again, random);
        for (int32_t result = 0; result < test->result_count; result++) {
            operand_expect(row, &again.results[result], &test->results[result], row->tolerance);
            operand_free(&again.results[result]);
        }
    }
}
