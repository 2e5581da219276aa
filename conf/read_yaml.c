#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <yaml.h>

#include "conf/node.h"

/* Aliases may repeat a part of the text many times, or contain themselves; these bounds end both.
 */
#define MAX_NODES 1000000u
#define MAX_DEPTH 32u

/* The way from a libyaml document to our tree. */
struct reader {
    struct conf_arena *arena;
    struct conf_errors *errors;
    const char *file;
    yaml_document_t *document;
    uint32_t n_nodes;
    int error; /* the first -ENOMEM or -E2BIG; nothing is converted after it */
};

static struct conf_place place_of(const struct reader *reader, yaml_mark_t mark)
{
    return (struct conf_place){
        .file = reader->file, .line = (unsigned)mark.line + 1, .column = (unsigned)mark.column + 1};
}

/* A character offset does not exist where a reader error does (bytes that are not UTF-8): counts
 * lines and bytes. */
static struct conf_place place_of_byte(const char *file, const char *text, size_t offset)
{
    struct conf_place place = {.file = file, .line = 1, .column = 1};
    for (size_t i = 0; i < offset; i++) {
        place.column++;
        if (text[i] == '\n') {
            place.line++;
            place.column = 1;
        }
    }
    return place;
}

static void report_syntax(struct reader *reader, const yaml_parser_t *parser, const char *text,
                          size_t n)
{
    struct conf_place place = place_of(reader, parser->problem_mark);
    if (parser->error == YAML_READER_ERROR)
        place = place_of_byte(reader->file, text,
                              parser->problem_offset < n ? parser->problem_offset : n);
    conf_errors_add(reader->errors, place, "", "%s%s%s", parser->context ? parser->context : "",
                    parser->context ? ": " : "", parser->problem ? parser->problem : "not YAML");
}

/* The plain words that YAML takes for nothing; in quotes they are text. */
static bool is_null(const yaml_node_t *from)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    const char *text = (const char *)from->data.scalar.value;
    if (from->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        if (strcmp(text, words[i]) == 0)
            return true;
    }
    return false;
}

static void fill_scalar(struct reader *reader, const yaml_node_t *from, struct conf_node *node)
{
    const char *text = (const char *)from->data.scalar.value;
    size_t n = from->data.scalar.length;
    if (memchr(text, '\0', n) != NULL)
        conf_errors_add(reader->errors, node->place, "",
                        "found a NUL character, expected text without one");
    node->text = conf_arena_text(reader->arena, text, n);
    if (node->text == NULL)
        reader->error = -ENOMEM;
    if (is_null(from))
        node->type = CONF_NODE_NULL;
}

static struct conf_node *convert(struct reader *reader, int index, unsigned depth);

static void fill_list(struct reader *reader, const yaml_node_t *from, struct conf_node *node,
                      unsigned depth)
{
    for (const yaml_node_item_t *item = from->data.sequence.items.start;
         item < from->data.sequence.items.top && reader->error == 0; item++) {
        struct conf_node *child = convert(reader, *item, depth + 1);
        if (child != NULL)
            conf_node_append(node, child);
    }
}

static void fill_map(struct reader *reader, const yaml_node_t *from, struct conf_node *node,
                     unsigned depth)
{
    for (const yaml_node_pair_t *pair = from->data.mapping.pairs.start;
         pair < from->data.mapping.pairs.top && reader->error == 0; pair++) {
        const yaml_node_t *key = yaml_document_get_node(reader->document, pair->key);
        if (key->type != YAML_SCALAR_NODE) {
            conf_errors_add(reader->errors, place_of(reader, key->start_mark), "",
                            "found a list or map as a key, expected a name");
            continue;
        }
        struct conf_node *child = convert(reader, pair->value, depth + 1);
        if (child == NULL)
            continue;
        if (memchr(key->data.scalar.value, '\0', key->data.scalar.length) != NULL)
            conf_errors_add(reader->errors, place_of(reader, key->start_mark), "",
                            "found a NUL character in a key");
        child->key = conf_arena_text(reader->arena, (const char *)key->data.scalar.value,
                                     key->data.scalar.length);
        child->key_place = place_of(reader, key->start_mark);
        if (child->key == NULL)
            reader->error = -ENOMEM;
        else
            conf_node_append(node, child);
    }
}

static enum conf_node_type type_of(const yaml_node_t *from)
{
    if (from->type == YAML_MAPPING_NODE)
        return CONF_NODE_MAP;
    return from->type == YAML_SEQUENCE_NODE ? CONF_NODE_LIST : CONF_NODE_SCALAR;
}

static struct conf_node *convert(struct reader *reader, int index, unsigned depth)
{
    const yaml_node_t *from = yaml_document_get_node(reader->document, index);
    struct conf_place place = place_of(reader, from->start_mark);
    if (depth > MAX_DEPTH || ++reader->n_nodes > MAX_NODES) {
        conf_errors_add(reader->errors, place, "", "found more than %s, aliases followed",
                        depth > MAX_DEPTH ? "32 levels" : "a million values");
        reader->error = -E2BIG;
        return NULL;
    }
    struct conf_node *node = conf_node_new(reader->arena, type_of(from), place);
    if (node == NULL)
        reader->error = -ENOMEM;
    else if (node->type == CONF_NODE_MAP)
        fill_map(reader, from, node, depth);
    else if (node->type == CONF_NODE_LIST)
        fill_list(reader, from, node, depth);
    else
        fill_scalar(reader, from, node);
    return node;
}

/* The tree of the document that is loaded. */
static struct conf_node *convert_document(struct reader *reader)
{
    const yaml_node_t *top = yaml_document_get_root_node(reader->document);
    if (top == NULL)
        return NULL;
    struct conf_node *root = convert(reader, 1, 1);
    if (root == NULL || reader->error != 0)
        return NULL;
    if (root->type != CONF_NODE_MAP && root->type != CONF_NODE_NULL) {
        conf_errors_add(reader->errors, root->place, "", "found %s, expected a map of options",
                        root->type == CONF_NODE_LIST ? "a list" : "text");
        reader->error = -EBADMSG;
    }
    return root;
}

/* What follows the first document must be the end. */
static void check_end(struct reader *reader, yaml_parser_t *parser, const char *text, size_t n)
{
    yaml_document_t document;
    if (!yaml_parser_load(parser, &document)) {
        report_syntax(reader, parser, text, n);
        return;
    }
    const yaml_node_t *root = yaml_document_get_root_node(&document);
    if (root != NULL)
        conf_errors_add(reader->errors, place_of(reader, root->start_mark), "",
                        "found a second document, expected one");
    yaml_document_delete(&document);
}

static void read_document(struct reader *reader, yaml_parser_t *parser, const char *text, size_t n,
                          struct conf_node **ret_root)
{
    yaml_document_t document;
    if (!yaml_parser_load(parser, &document)) {
        reader->error = parser->error == YAML_MEMORY_ERROR ? -ENOMEM : -EBADMSG;
        report_syntax(reader, parser, text, n);
        return;
    }
    reader->document = &document;
    struct conf_node *root = convert_document(reader);
    bool is_empty = yaml_document_get_root_node(&document) == NULL;
    yaml_document_delete(&document);
    reader->document = NULL;
    if (reader->error != 0)
        return;
    if (!is_empty)
        check_end(reader, parser, text, n);
    *ret_root = root;
}

int conf_node_read_yaml(struct conf_arena *arena, const char *name, const char *text, size_t n,
                        struct conf_errors *errors, struct conf_node **ret_root)
{
    struct reader reader = {.arena = arena, .errors = errors, .file = name};
    struct conf_node *root = NULL;
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return -ENOMEM;
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, n);
    read_document(&reader, &parser, text, n, &root);
    yaml_parser_delete(&parser);
    if (reader.error == 0)
        *ret_root = root;
    return reader.error == -E2BIG ? -EBADMSG : reader.error;
}
