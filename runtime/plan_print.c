// The listing of a plan: what it is, what it needs, and every step in the manner of the IR's text.
#include "runtime/plan_file.h"

static void print_shape(const Shape *shape, Text *out)
{
    text_print(out, "[");
    for (int i = 0; i < shape->rank; i++) {
        const Dim *dim = &shape->dims[i];
        const char *separator = i ? "," : "";
        if (dim->constant || dim_is_constant(*dim)) {
            text_print(out, "%s%lld", separator, (long long)dim->constant);
            separator = "+";
        }
        for (int symbol = 0; symbol < SYMBOL_COUNT; symbol++) {
            if (!dim->factor[symbol])
                continue;
            text_print(out, "%s", separator);
            separator = "+";
            if (dim->factor[symbol] != 1)
                text_print(out, "%d*", dim->factor[symbol]);
            text_print(out, "%c", symbol_names[symbol]);
        }
    }
    text_print(out, "]");
}

static void print_operand(const Plan *plan, const PlanOperand *operand, Text *out)
{
    const char *name = plan_string(plan, operand->name);
    if (operand->region == REGION_NONE) {
        text_float(out, operand->constant);
        return;
    }
    if (name[0])
        text_print(out, "%%%s:", name);
    text_print(out, "%s", dtype_table[operand->dtype].name);
    print_shape(&operand->shape, out);
    if (operand->layout != LAYOUT_plain)
        text_print(out, "{%s}", layout_table[operand->layout].name);
    if (operand->region == REGION_IO)
        text_print(out, " @io%lld", (long long)operand->offset);
    else
        text_print(out, " @%s+0x%llx:0x%llx", region_names[operand->region],
                   (unsigned long long)operand->offset, (unsigned long long)operand->bytes);
}

static void print_attributes(const PlanStep *step, Text *out)
{
    const AttributeInfo *info = op_table[step->op].attributes;
    for (int i = 0; info[i].name; i++) {
        AttributeKind kind = info[i].kind;
        int32_t word = (int32_t)step->attributes.words[i];
        text_print(out, "%s%s=", i ? ", " : " {", info[i].name);
        if (kind == ATTRIBUTE_f32) {
            union {
                uint32_t word;
                float number;
            } bits = {step->attributes.words[i]};
            text_float(out, bits.number);
        } else if (kind == ATTRIBUTE_i32) {
            text_print(out, "%d", word);
        } else {
            text_print(out, "%s", attribute_value_name(kind, word));
        }
    }
    if (info[0].name)
        text_print(out, "}");
}

static void print_step(const Plan *plan, const PlanStep *step, Text *out)
{
    const PlanOperand *operands = &plan->operands[step->first_operand];
    const char *location = plan_string(plan, step->location);
    text_print(out, step->barrier_before ? "| " : "  ");
    for (int i = 0; i < step->result_count; i++) {
        text_print(out, i ? ", " : "");
        print_operand(plan, &operands[i], out);
    }
    text_print(out, step->result_count ? " = %s " : "%s ", op_table[step->op].name);
    for (int i = 0; i < step->operand_count; i++) {
        text_print(out, i ? ", " : "");
        if (op_table[step->op].written >> i & 1)
            text_print(out, "rw ");
        print_operand(plan, &operands[step->result_count + i], out);
    }
    print_attributes(step, out);
    text_print(out, "  !%s", plan_string(plan, step->kernel));
    if (location[0])
        text_print(out, "  loc(%s)", location);
    text_print(out, "\n");
}

static void print_info(const Plan *plan, Text *out)
{
    static const char *const weights_in[WEIGHTS_IN_COUNT] = {"in their files", "embedded",
                                                             "in a weights file"};
    const PlanInfo *info = &plan->info;
    text_print(out,
               "plan \"%s\" architecture=%s target=%s opt=%d kv=%s act=%s batch=%lld page=%d\n",
               plan_string(plan, info->name), plan_string(plan, info->architecture),
               plan_string(plan, info->target), info->opt, plan_string(plan, info->kv),
               plan_string(plan, info->act), (long long)info->batch, info->page_tokens);
    text_print(out, "made by: %s (%s)\n", plan_string(plan, info->command),
               plan_string(plan, info->compiler));
    text_print(out, "context %lld, vocabulary %lld, weights %lld bytes (%s), a page %lld bytes\n",
               (long long)info->context_length, (long long)info->vocabulary_size,
               (long long)info->w_bytes, weights_in[info->weights_in], (long long)info->page_bytes);
    for (uint32_t i = 0; i < plan->file_count; i++)
        text_print(out, "file %s: %llu bytes\n", plan_string(plan, plan->files[i].path),
                   (unsigned long long)plan->files[i].bytes);
    for (uint32_t i = 0; i < plan->setting_count; i++) {
        text_print(out, "setting %s: ", setting_table[plan->settings[i].kind].key);
        text_float(out, plan->settings[i].value);
        text_print(out, "\n");
    }
    if (info->has_vocabulary) {
        vocabulary_print(&plan->vocabulary, out);
        text_print(out, "\n");
    }
}

void plan_print(const Plan *plan, Text *out)
{
    print_info(plan, out);
    for (uint32_t i = 0; i < plan->phase_count; i++) {
        const PlanPhase *phase = &plan->phases[i];
        text_print(out, "phase @%s T<=%lld act=0x%llx (at least 0x%llx), %u steps {\n",
                   plan_string(plan, phase->name), (long long)phase->bound_t,
                   (unsigned long long)phase->act_bytes, (unsigned long long)phase->act_lower_bound,
                   phase->step_count);
        for (uint32_t step = 0; step < phase->step_count; step++)
            print_step(plan, &plan->steps[phase->first_step + step], out);
        text_print(out, "}\n");
    }
}
