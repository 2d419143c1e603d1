// SentencePiece's tokenizer.model: a protocol buffer (sentencepiece_model.proto), of which we read
// pieces, the kind of model, ids and the normaliser. Fields that are not known are passed over, as
// protocol buffers are meant to be read; what would change the ids and is not supported is refused.
//
// The file is hostile: every length is checked against what is left.
#include <string.h>

#include "frontends/tokenizer/readers.h"

typedef struct Cursor {
    const uint8_t *at, *end;
    bool failed;
} Cursor;

typedef struct Field {
    uint32_t number, wire; // wire: 0 varint, 1 eight bytes, 2 bytes, 5 four bytes
    uint64_t value;        // of wire 0, 1 and 5
    Cursor bytes;          // of wire 2
} Field;

typedef struct Spec {
    uint64_t model_type; // 1 unigram, 2 BPE
    int64_t unknown, bos, eos, padding;
    bool byte_fallback, space_suffix, dummy, squeeze, escape;
    Cursor charsmap;
} Spec;

static uint64_t read_varint(Cursor *cursor)
{
    uint64_t value = 0;
    for (int shift = 0; shift < 64 && cursor->at < cursor->end; shift += 7) {
        uint8_t byte = *cursor->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return value;
    }
    cursor->failed = true;
    return 0;
}

static uint64_t read_fixed(Cursor *cursor, size_t bytes)
{
    uint64_t value = 0;
    if ((size_t)(cursor->end - cursor->at) < bytes) {
        cursor->failed = true;
        return 0;
    }
    for (size_t i = 0; i < bytes; i++)
        value |= (uint64_t)cursor->at[i] << (8 * i);
    cursor->at += bytes;
    return value;
}

static Cursor read_bytes(Cursor *cursor)
{
    uint64_t length = read_varint(cursor);
    if (cursor->failed || length > (uint64_t)(cursor->end - cursor->at)) {
        cursor->failed = true;
        return (Cursor){cursor->end, cursor->end, true};
    }
    Cursor bytes = {cursor->at, cursor->at + length, false};
    cursor->at += length;
    return bytes;
}

// False at the end, and where the bytes are no field.
static bool next_field(Cursor *cursor, Field *field)
{
    if (cursor->at == cursor->end || cursor->failed)
        return false;
    uint64_t key = read_varint(cursor);
    *field = (Field){.number = (uint32_t)(key >> 3), .wire = key & 7};
    switch (field->wire) {
    case 0: field->value = read_varint(cursor); break;
    case 1: field->value = read_fixed(cursor, 8); break;
    case 2: field->bytes = read_bytes(cursor); break;
    case 5: field->value = read_fixed(cursor, 4); break;
    default: cursor->failed = true;
    }
    return !cursor->failed;
}

static PieceText text_of(Cursor bytes)
{
    return (PieceText){(const char *)bytes.at, (size_t)(bytes.end - bytes.at)};
}

static float float_of(uint64_t value)
{
    uint32_t bits = (uint32_t)value;
    float number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

static bool fail_damaged(const PieceList *list)
{
    return maker_fail(list->maker, "the SentencePiece model is damaged: fetch it again");
}

static bool read_piece(PieceList *list, Cursor cursor)
{
    PieceText text = PIECE_TEXT("");
    float score = 0;
    uint64_t type = PIECE_NORMAL;
    Field field;
    while (next_field(&cursor, &field)) {
        if (field.number == 1 && field.wire == 2)
            text = text_of(field.bytes);
        else if (field.number == 2 && field.wire == 5)
            score = float_of(field.value);
        else if (field.number == 3 && field.wire == 0)
            type = field.value;
    }
    if (cursor.failed || type < PIECE_NORMAL || type > PIECE_BYTE)
        return fail_damaged(list);
    return piece_list_set(list, list->count, text, score, (uint8_t)type);
}

static bool read_trainer(const PieceList *list, Cursor cursor, Spec *spec)
{
    Field field;
    while (next_field(&cursor, &field)) {
        if (field.wire != 0)
            continue;
        switch (field.number) {
        case 3: spec->model_type = field.value; break;
        case 24: spec->space_suffix = field.value != 0; break;
        case 35: spec->byte_fallback = field.value != 0; break;
        case 40: spec->unknown = (int32_t)field.value; break;
        case 41: spec->bos = (int32_t)field.value; break;
        case 42: spec->eos = (int32_t)field.value; break;
        case 43: spec->padding = (int32_t)field.value; break;
        default: break;
        }
    }
    return !cursor.failed || fail_damaged(list);
}

static bool read_normaliser(const PieceList *list, Cursor cursor, Spec *spec)
{
    Field field;
    while (next_field(&cursor, &field)) {
        if (field.number == 2 && field.wire == 2)
            spec->charsmap = field.bytes;
        if (field.wire != 0)
            continue;
        switch (field.number) {
        case 3: spec->dummy = field.value != 0; break;
        case 4: spec->squeeze = field.value != 0; break;
        case 5: spec->escape = field.value != 0; break;
        default: break;
        }
    }
    return !cursor.failed || fail_damaged(list);
}

static bool read_model(PieceList *list, Cursor cursor, Spec *spec)
{
    Field field;
    while (next_field(&cursor, &field)) {
        bool done = true;
        if (field.wire == 2 && field.number == 1)
            done = read_piece(list, field.bytes);
        else if (field.wire == 2 && field.number == 2)
            done = read_trainer(list, field.bytes, spec);
        else if (field.wire == 2 && field.number == 3)
            done = read_normaliser(list, field.bytes, spec);
        if (!done)
            return false;
    }
    return !cursor.failed || fail_damaged(list);
}

// BPE cuts user-defined pieces out of the normalised text; a unigram model only prefers them.
static void mark_added(PieceList *list, bool bpe)
{
    for (int64_t id = 0; id < list->count; id++) {
        ListedPiece *item = &list->items[id];
        bool special = item->type == PIECE_CONTROL || item->type == PIECE_UNKNOWN;
        if (!special && !(bpe && item->type == PIECE_USER))
            continue;
        item->added = true;
        item->flags = special ? ADDED_SPECIAL : ADDED_NORMALISED;
    }
}

static int32_t piece_id(const Vocabulary *vocabulary, int64_t id)
{
    return id >= 0 && id < vocabulary->count ? (int32_t)id : TOKEN_NONE;
}

static bool check_spec(const PieceList *list, const Spec *spec)
{
    if (spec->model_type != 1 && spec->model_type != 2)
        return maker_fail(list->maker,
                          "the SentencePiece model is of type %llu; supported are unigram (1) and "
                          "BPE (2)",
                          (unsigned long long)spec->model_type);
    if (spec->space_suffix)
        return maker_fail(list->maker, "SentencePiece models that write the space behind a word "
                                       "(treat_whitespace_as_suffix) are not supported");
    return spec->escape || maker_fail(list->maker, "SentencePiece models that keep spaces "
                                                   "(escape_whitespaces=false) are not supported");
}

static void add_steps(VocabularyMaker *maker, const Spec *spec)
{
    PieceText none = PIECE_TEXT(""), charsmap = text_of(spec->charsmap);
    if (charsmap.length)
        maker_add_step(maker, TEXT_CHARSMAP, 0, charsmap, none);
    if (spec->squeeze)
        maker_add_step(maker, TEXT_SQUEEZE, 0, none, none);
    maker_add_spaces(maker, spec->dummy, true);
    maker_add_space_decoder(maker, spec->dummy, spec->squeeze);
}

bool sentencepiece_model_read(PieceList *list, PieceText bytes)
{
    const uint8_t *begin = (const uint8_t *)bytes.bytes;
    Spec spec = {.model_type = 1, .bos = 1, .eos = 2, .padding = -1};
    spec.dummy = spec.squeeze = spec.escape = true;
    if (!read_model(list, (Cursor){begin, begin + bytes.length, false}, &spec))
        return false;
    mark_added(list, spec.model_type == 2);
    if (!check_spec(list, &spec) || !json_extra_tokens(list) || !piece_list_lay(list))
        return false;
    Vocabulary *vocabulary = list->maker->vocabulary;
    vocabulary->kind = spec.model_type == 1 ? VOCABULARY_UNIGRAM : VOCABULARY_SCORES;
    vocabulary->fuse_unknown = vocabulary->single_precision = true;
    vocabulary->unknown = piece_id(vocabulary, spec.unknown);
    vocabulary->bos = piece_id(vocabulary, spec.bos);
    vocabulary->eos = piece_id(vocabulary, spec.eos);
    vocabulary->padding = piece_id(vocabulary, spec.padding);
    vocabulary->add_bos = vocabulary->bos != TOKEN_NONE;
    add_steps(list->maker, &spec);
    return true;
}
