#include "discovery/token.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* A field value cannot carry control characters; in the middle they would forge another field. */
static int check(char *token, size_t n)
{
    while (n > 0 && strchr(" \t\r\n", token[n - 1]) != NULL)
        n--;
    if (n == 0)
        return -EINVAL;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)token[i] <= ' ' || token[i] == 0x7f)
            return -EINVAL;
    token[n] = '\0';
    return 0;
}

static int read_file(const char *path, char token[TOKEN_MAX])
{
    /* Not blocking: a FIFO without a writer would stop all watches. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -errno;
    size_t n = 0;
    ssize_t got;
    do {
        got = read(fd, token + n, TOKEN_MAX - n);
        n += got > 0 ? (size_t)got : 0;
    } while (n < TOKEN_MAX && (got > 0 || (got < 0 && errno == EINTR)));
    int error = got < 0 ? -errno : 0;
    close(fd);
    if (error != 0)
        return error;
    return n < TOKEN_MAX ? check(token, n) : -EINVAL;
}

int token_read(const struct conf_consul *consul, char ret_token[TOKEN_MAX])
{
    char token[TOKEN_MAX] = "";
    if (consul->token_file != NULL) {
        int error = read_file(consul->token_file, token);
        if (error != 0)
            return error;
    } else if (consul->token != NULL) {
        size_t n = strlen(consul->token);
        if (n >= TOKEN_MAX)
            return -EINVAL;
        memcpy(token, consul->token, n + 1);
    }
    memcpy(ret_token, token, sizeof token);
    return 0;
}
