#include "tools/run/conversation.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/run/prompt.h"

static bool fail_memory(Diag *diag)
{
    return diag_fail(diag, (Where){0}, "out of memory");
}

// A file of JSON, which can be given on as a string.
static bool read_json_file(const char *path, Text *out, Diag *diag)
{
    if (!prompt_read_file(path, out, diag))
        return false;
    return strlen(out->bytes) == out->length ||
           diag_fail(diag, (Where){path, 0, 0}, "not JSON: it holds a NUL byte");
}

// --- the template

static bool open_chatml(Conversation *conversation, Diag *diag)
{
    conversation->turn_end = "<|im_end|>";
    conversation->chat =
        chat_template_new("chatml", chat_template_chatml, strlen(chat_template_chatml), diag);
    return conversation->chat != NULL;
}

static bool open_template_file(Conversation *conversation, const char *path, Diag *diag)
{
    Text source = {0};
    if (prompt_read_file(path, &source, diag))
        conversation->chat = chat_template_new(path, source.bytes, source.length, diag);
    text_free(&source);
    return conversation->chat != NULL;
}

static bool open_template(Conversation *conversation, Diag *diag)
{
    const char *wanted = conversation->run->options->chat_template;
    const char *own = conversation->run->plan->vocabulary.chat_template;
    if (wanted && strcmp(wanted, "chatml") == 0)
        return open_chatml(conversation, diag);
    if (wanted)
        return open_template_file(conversation, wanted, diag);
    if (own && *own) {
        conversation->chat = chat_template_new("the model's chat template", own, strlen(own), diag);
        return conversation->chat != NULL;
    }
    fprintf(stderr, "note: the model has no chat template; ChatML stands in for it "
                    "(--chat-template FILE gives another)\n");
    return open_chatml(conversation, diag);
}

// --- messages

// Whether JSON is an array of messages as templates expect them.
static bool check_messages(const cJSON *messages, const char *path, Diag *diag)
{
    if (!cJSON_IsArray(messages))
        return diag_fail(diag, (Where){path, 0, 0}, "not a JSON array of messages");
    const cJSON *message;
    int number = 0;
    cJSON_ArrayForEach(message, messages)
    {
        number++;
        if (!cJSON_IsString(cJSON_GetObjectItemCaseSensitive(message, "role")))
            return diag_fail(diag, (Where){path, 0, 0}, "message %d has no \"role\"", number);
    }
    return true;
}

static cJSON *make_message(const char *role, const char *content, Diag *diag)
{
    cJSON *message = cJSON_CreateObject();
    if (message && cJSON_AddStringToObject(message, "role", role) &&
        cJSON_AddStringToObject(message, "content", content))
        return message;
    cJSON_Delete(message);
    fail_memory(diag);
    return NULL;
}

bool conversation_add(Conversation *conversation, const char *role, const char *content, Diag *diag)
{
    cJSON *message = make_message(role, content, diag);
    return message && (cJSON_AddItemToArray(conversation->messages, message) || fail_memory(diag));
}

void conversation_drop_last(Conversation *conversation)
{
    int count = cJSON_GetArraySize(conversation->messages);
    if (count)
        cJSON_DeleteItemFromArray(conversation->messages, count - 1);
}

static bool begins_with_system(const Conversation *conversation)
{
    const cJSON *first = cJSON_GetArrayItem(conversation->messages, 0);
    const char *role = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(first, "role"));
    return role && strcmp(role, "system") == 0;
}

bool conversation_set_system(Conversation *conversation, const char *content, Diag *diag)
{
    if (begins_with_system(conversation))
        cJSON_DeleteItemFromArray(conversation->messages, 0);
    if (!*content)
        return true;
    cJSON *message = make_message("system", content, diag);
    return message &&
           (cJSON_InsertItemInArray(conversation->messages, 0, message) || fail_memory(diag));
}

bool conversation_load(Conversation *conversation, const char *path, Diag *diag)
{
    Text text = {0};
    cJSON *messages = NULL;
    if (read_json_file(path, &text, diag)) {
        messages = cJSON_ParseWithOpts(text.bytes, NULL, true);
        if (!messages)
            diag_fail(diag, (Where){path, 0, 0}, "not JSON");
    }
    text_free(&text);
    if (!messages || !check_messages(messages, path, diag)) {
        cJSON_Delete(messages);
        return false;
    }
    cJSON_Delete(conversation->messages);
    conversation->messages = messages;
    return true;
}

bool conversation_save(const Conversation *conversation, const char *path, Diag *diag)
{
    char *text = cJSON_Print(conversation->messages);
    FILE *file = text ? fopen(path, "wb") : NULL;
    bool good = file && fprintf(file, "%s\n", text) > 0;
    if (file && fclose(file) != 0)
        good = false;
    free(text);
    if (!good)
        diag_fail(diag, (Where){path, 0, 0}, "cannot be written: %s", strerror(errno));
    return good;
}

// --- text and tokens

static void append_piece(const Vocabulary *vocabulary, int32_t id, Text *out)
{
    if (id >= 0)
        text_append(out, vocabulary->bytes + vocabulary->offsets[id],
                    vocabulary->offsets[id + 1] - vocabulary->offsets[id]);
    text_append(out, "", 0);
}

static bool render(const Conversation *conversation, const char *messages, Text *out, Diag *diag)
{
    const Vocabulary *vocabulary = &conversation->run->plan->vocabulary;
    Text bos = {0}, eos = {0};
    append_piece(vocabulary, vocabulary->bos, &bos);
    append_piece(vocabulary, vocabulary->eos, &eos);
    ChatInput input = {.messages = messages,
                       .tools = conversation->tools.bytes,
                       .variables = conversation->run->options->template_variables,
                       .add_generation_prompt = true,
                       .bos = bos.bytes,
                       .eos = eos.bytes};
    bool good = chat_template_render(conversation->chat, &input, out, diag);
    text_free(&bos);
    text_free(&eos);
    return good;
}

bool conversation_render(const Conversation *conversation, Text *out, Diag *diag)
{
    char *messages = cJSON_PrintUnformatted(conversation->messages);
    bool good = messages ? render(conversation, messages, out, diag) : fail_memory(diag);
    cJSON_free(messages);
    return good;
}

bool conversation_tokens(const Conversation *conversation, const Text *text, TokenList *out,
                         Diag *diag)
{
    const Run *run = conversation->run;
    const Vocabulary *vocabulary = &run->plan->vocabulary;
    Text bos = {0};
    append_piece(vocabulary, vocabulary->bos, &bos);
    bool has_bos =
        bos.length && text->length >= bos.length && memcmp(text->bytes, bos.bytes, bos.length) == 0;
    text_free(&bos);
    if (vocabulary->add_bos && vocabulary->bos >= 0 && !has_bos && !run->options->no_bos &&
        !token_list_push(out, vocabulary->bos, diag))
        return false;
    return tokenizer_encode(run->tokenizer, text->bytes ? text->bytes : "", text->length,
                            (EncodeOptions){.parse_special = true}, out, diag);
}

// --- opening

bool conversation_open(Conversation *conversation, const Run *run, Diag *diag)
{
    const Options *options = run->options;
    conversation->run = run;
    conversation->messages = cJSON_CreateArray();
    if (!conversation->messages)
        return fail_memory(diag);
    if (options->tools && !read_json_file(options->tools, &conversation->tools, diag))
        return false;
    return open_template(conversation, diag) &&
           (!options->system || conversation_set_system(conversation, options->system, diag));
}

void conversation_close(Conversation *conversation)
{
    cJSON_Delete(conversation->messages);
    chat_template_free(conversation->chat);
    text_free(&conversation->tools);
}

int run_apply(Run *run, Diag *diag)
{
    Conversation conversation = {0};
    Text messages = {0}, out = {0};
    // The file's own text, since a JSON library would not keep 1.0 apart from 1.
    bool good = conversation_open(&conversation, run, diag) &&
                read_json_file(run->options->apply_template, &messages, diag) &&
                render(&conversation, messages.bytes, &out, diag);
    if (good)
        fwrite(out.bytes ? out.bytes : "", 1, out.length, stdout);
    conversation_close(&conversation);
    text_free(&messages);
    text_free(&out);
    return good ? 0 : -1;
}
