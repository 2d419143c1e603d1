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

static bool render(const char *source, size_t length, const char *conversation, Text *out)
{
    Diag diag = {0};
    ChatInput input = {.messages = conversation,
                       .add_generation_prompt = true,
                       .bos = "<s>",
                       .eos = "</s>",
                       .now = 1700000000};
    ChatTemplate *chat = chat_template_new("fuzz", source, length, &diag);
    bool good = chat && chat_template_render(chat, &input, out, &diag);
    if (good == diag.failed)
        abort();
    chat_template_free(chat);
    return good;
}

static bool run(const uint8_t *data, size_t size, Text *out)
{
    if (!size || data[0])
        return render((const char *)data, size, messages, out);
    Text text = {0};
    text_append(&text, (const char *)data + 1, size - 1);
    bool good = render(walker, strlen(walker), text.bytes, out);
    text_free(&text);
    return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Text first = {0}, second = {0};
    bool good = run(data, size, &first);
    if (run(data, size, &second) != good || first.length != second.length ||
        (first.length && memcmp(first.bytes, second.bytes, first.length) != 0))
        abort();
    text_free(&first);
    text_free(&second);
    return 0;
}
