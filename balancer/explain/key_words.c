#include "balancer/explain/key_words.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const words[] = {
    [CONF_KEY_NONE] = "none",     [CONF_KEY_PATH] = "path",     [CONF_KEY_URI] = "uri",
    [CONF_KEY_QUERY] = "query",   [CONF_KEY_HEADER] = "header", [CONF_KEY_COOKIE] = "cookie",
    [CONF_KEY_CLIENT] = "client", [CONF_KEY_TEXT] = "text",     [CONF_KEY_ARGUMENTS] = "query",
    [CONF_KEY_HOST] = "host",     [CONF_KEY_METHOD] = "method", [CONF_KEY_FORWARDED] = "forwarded",
    [CONF_KEY_JSON] = "json",     [CONF_KEY_FORM] = "form",     [CONF_KEY_TEMPLATE] = "template",
};

/* Braces are doubled in text. */
static void print_text(const char *text, FILE *out)
{
    for (; *text != '\0'; text++) {
        if (*text == '{' || *text == '}')
            fputc(*text, out);
        fputc(*text, out);
    }
}

static void print_argument(const struct conf_key_part *part, FILE *out)
{
    if (part->name != NULL)
        fprintf(out, ":%s", part->name);
    else if (part->segments > 0)
        fprintf(out, ":%u", (unsigned)part->segments);
    else if ((part->source == CONF_KEY_CLIENT || part->source == CONF_KEY_FORWARDED) &&
             (part->v4_bits < 32 || part->v6_bits < 128))
        fprintf(out, "/%u,%u", (unsigned)part->v4_bits, (unsigned)part->v6_bits);
}

static void print_part(const struct conf_key_part *part, FILE *out)
{
    if (part->source == CONF_KEY_TEXT) {
        print_text(part->name, out);
        return;
    }
    /* Hosts are always in lower case. */
    bool is_lower = (part->filters & CONF_KEY_LOWER) != 0 && part->source != CONF_KEY_HOST;
    fprintf(out, "{%s", words[part->source]);
    print_argument(part, out);
    fprintf(out, "%s%s%s}", is_lower ? "|lower" : "",
            (part->filters & CONF_KEY_SORTED) != 0 ? "|sorted" : "",
            (part->filters & CONF_KEY_OPTIONAL) != 0 ? "|optional" : "");
}

char *key_words(const struct conf_key *key)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    if (out == NULL)
        return NULL;
    if (key->source != CONF_KEY_TEMPLATE)
        fprintf(out, "%s%s%s", words[key->source], key->name != NULL ? ":" : "",
                key->name != NULL ? key->name : "");
    for (uint32_t i = 0; key->source == CONF_KEY_TEMPLATE && i < key->n_parts; i++)
        print_part(&key->parts[i], out);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
