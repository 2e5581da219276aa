#include "balancer/http/path.h"

#include "balancer/http/h1_chars.h"

static bool is_unreserved(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

bool path_is_plain(struct span path)
{
    uint8_t before = 0;
    for (size_t i = 0; i < path.n; i++) {
        uint8_t c = path.p[i];
        if (c == '%' || (before == '/' && (c == '/' || c == '.')))
            return false;
        before = c;
    }
    return true;
}

/* The octet that the escape at path.p[i] stands for, or -1 if it is none. */
static int octet_at(struct span path, size_t i)
{
    if (path.p[i] != '%' || path.n - i < 3)
        return -1;
    int high = h1_hex_value(path.p[i + 1]);
    int low = h1_hex_value(path.p[i + 2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static uint8_t upper(uint8_t c)
{
    return c >= 'a' && c <= 'f' ? (uint8_t)(c - 'a' + 'A') : c;
}

/* Takes the last segment of room back if it is a dot segment, with the one before it for two dots.
 * Returns the length without it. */
static size_t drop_dots(const uint8_t *room, size_t begin, size_t n)
{
    size_t size = n - begin;
    if (size == 1 && room[begin] == '.')
        return begin;
    if (size != 2 || room[begin] != '.' || room[begin + 1] != '.')
        return n;
    for (n = begin > 1 ? begin - 1 : 1; room[n - 1] != '/';)
        n--;
    return n;
}

size_t path_normalize(struct span path, uint8_t *room)
{
    size_t n = 0, begin = 1; /* of the segment under way */
    room[n++] = '/';
    for (size_t i = 1; i < path.n; i++) {
        int octet = octet_at(path, i);
        if (path.p[i] == '/') {
            n = drop_dots(room, begin, n);
            if (room[n - 1] != '/')
                room[n++] = '/';
            begin = n;
        } else if (octet < 0) {
            room[n++] = path.p[i];
        } else if (is_unreserved(octet)) {
            room[n++] = (uint8_t)octet;
            i += 2;
        } else {
            room[n++] = '%';
            room[n++] = upper(path.p[++i]);
            room[n++] = upper(path.p[++i]);
        }
    }
    return drop_dots(room, begin, n);
}
