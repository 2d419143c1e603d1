// Hostile chat templates: one is compiled and rendered over a fixed conversation, or refused with a
// message; the same again gives the same. A first byte of 0 makes the rest the JSON of the
// messages, for a fixed template.
#include <stdlib.h>
#include <string.h>

#include "runtime/text/chat_template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char messages[] =
    "[{\"role\": \"system\", \"content\": \"Be brief.\"},"
    " {\"role\": \"user\", \"content\": \"h\xc3\xa9 \\ud83d\\ude00\", \"n\": [1, 2.5, null, true]},"
    " {\"role\": \"assistant\", \"content\": null, \"tool_calls\": [{\"function\": {\"name\": "
    "\"f\","
    " \"arguments\": {\"a\": 1}}}]}]";
static const char walker[] = "{% for m in messages %}{{ m }}{{ m|tojson(indent=1) }}{{ m.content }}"
                             "{% endfor %}";

static bool same(const Text *a, const Text *b)
{
    return a->length == b->length && (!a->length || memcmp(a->bytes, b->bytes, a->length) == 0);
}

static void render(const char *source, size_t length, const char *conversation)
{
    Text first = {0}, second = {0};
    Diag diag = {0}, again = {0};
    ChatInput input = {.messages = conversation,
                       .add_generation_prompt = true,
                       .bos = "<s>",
                       .eos = "</s>",
                       .now = 1700000000};
    ChatTemplate *chat = chat_template_new("fuzz", source, length, &diag);
    if (!chat && !diag.failed)
        abort();
    if (chat) {
        bool good = chat_template_render(chat, &input, &first, &diag);
        if (good == diag.failed || (!good && first.length) ||
            chat_template_render(chat, &input, &second, &again) != good || !same(&first, &second))
            abort();
    }
    chat_template_free(chat);
    text_free(&first);
    text_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size || data[0]) {
        render((const char *)data, size, messages);
        return 0;
    }
    Text text = {0};
    text_append(&text, (const char *)data + 1, size - 1);
    render(walker, strlen(walker), text.bytes);
    text_free(&text);
    return 0;
}
