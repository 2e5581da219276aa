#include "balancer/acme/store.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER_MODE 0700
#define FILE_MODE 0600
#define OTHERS (S_IRWXG | S_IRWXO)

/* ---- folders */

static int make_folder(const char *path)
{
    return mkdir(path, FOLDER_MODE) == 0 || errno == EEXIST ? 0 : -errno;
}

int store_prepare(const char *folder)
{
    char *path = strdup(folder);
    int rc = path != NULL ? 0 : -ENOMEM;
    for (char *at = path; rc == 0 && (at = strchr(at + 1, '/')) != NULL;) {
        *at = '\0';
        rc = make_folder(path);
        *at = '/';
    }
    if (rc == 0)
        rc = make_folder(path);
    free(path);
    struct stat about;
    if (rc == 0 && stat(folder, &about) != 0)
        rc = -errno;
    return rc == 0 && !S_ISDIR(about.st_mode) ? -ENOTDIR : rc;
}

/* ---- files */

enum exposure { MAY_BE_EXPOSED, MUST_BE_OURS };

static int check_open(int fd, enum exposure exposure)
{
    struct stat about;
    if (fstat(fd, &about) != 0)
        return -errno;
    if (!S_ISREG(about.st_mode))
        return -EINVAL;
    bool is_exposed = exposure == MUST_BE_OURS && (about.st_mode & OTHERS) != 0;
    return is_exposed ? -EKEYREJECTED : 0;
}

/* Opens a regular file: the reader of another kind might wait for ever. Returns a descriptor or
 * -errno. */
static int open_file(const char *file, enum exposure exposure)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -errno;
    int rc = check_open(fd, exposure);
    if (rc != 0) {
        (void)close(fd);
        return rc;
    }
    return fd;
}

int store_check(const char *file)
{
    int fd = open_file(file, MUST_BE_OURS);
    if (fd < 0)
        return fd;
    (void)close(fd);
    return 0;
}

static int write_all(int fd, const char *text, size_t n)
{
    while (n > 0) {
        ssize_t went = write(fd, text, n);
        if (went < 0 && errno == EINTR)
            continue;
        if (went < 0)
            return -errno;
        text += went;
        n -= (size_t)went;
    }
    return fsync(fd) == 0 ? 0 : -errno;
}

/* The new name is on the disk, too, once its folder is. */
static void sync_folder(const char *file)
{
    char *path = strdup(file);
    char *slash = path != NULL ? strrchr(path, '/') : NULL;
    if (slash != NULL) {
        *slash = '\0';
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0) {
            (void)fsync(fd);
            (void)close(fd);
        }
    }
    free(path);
}

int store_write(const char *file, const char *text, size_t n)
{
    size_t room = strlen(file) + sizeof ".new.XXXXXX";
    char *path = malloc(room);
    if (path == NULL)
        return -ENOMEM;
    (void)snprintf(path, room, "%s.new.XXXXXX", file);
    int fd = mkostemp(path, O_CLOEXEC);
    int rc = fd >= 0 ? 0 : -errno;
    if (rc == 0 && fchmod(fd, FILE_MODE) != 0)
        rc = -errno;
    if (rc == 0)
        rc = write_all(fd, text, n);
    if (fd >= 0 && close(fd) != 0 && rc == 0)
        rc = -errno;
    if (rc == 0 && rename(path, file) != 0)
        rc = -errno;
    if (rc != 0 && fd >= 0)
        (void)unlink(path);
    free(path);
    if (rc == 0)
        sync_folder(file);
    return rc;
}

/* Up to size bytes. Returns how many, or -errno. */
static ssize_t read_some(const char *file, char *bytes, size_t size)
{
    int fd = open_file(file, MAY_BE_EXPOSED);
    if (fd < 0)
        return fd;
    ssize_t used = 0, got;
    do {
        got = read(fd, bytes + used, size - (size_t)used);
        used += got > 0 ? got : 0;
    } while (got > 0 && (size_t)used < size);
    int rc = got < 0 ? -errno : 0;
    (void)close(fd);
    return rc != 0 ? rc : used;
}

int store_read(const char *file, char **ret_text, size_t *ret_n)
{
    char *text = malloc(STORE_MAX_BYTES + 1);
    ssize_t n = text != NULL ? read_some(file, text, STORE_MAX_BYTES + 1) : -ENOMEM;
    if (n > (ssize_t)STORE_MAX_BYTES)
        n = -EFBIG;
    if (n < 0) {
        free(text);
        return (int)n;
    }
    text[n] = '\0';
    *ret_text = text;
    *ret_n = (size_t)n;
    return 0;
}

int store_read_line(const char *file, char *ret_text, size_t size)
{
    ssize_t n = read_some(file, ret_text, size);
    if (n < 0)
        return (int)n;
    char *line_end = memchr(ret_text, '\n', (size_t)n);
    if (line_end == NULL && (size_t)n == size)
        return -EINVAL;
    n = line_end != NULL ? line_end - ret_text : n;
    if (n > 0 && ret_text[n - 1] == '\r')
        n--;
    ret_text[n] = '\0';
    return 0;
}

/* ---- keys */

/* Nobody is there to be asked for a passphrase. */
static int no_passphrase(char *text, int size, int is_write, void *context)
{
    (void)text, (void)size, (void)is_write, (void)context;
    return -1;
}

int store_read_key(const char *file, EVP_PKEY **ret_key)
{
    int fd = open_file(file, MUST_BE_OURS);
    if (fd < 0)
        return fd;
    BIO *bio = BIO_new_fd(fd, BIO_CLOSE);
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    BIO_free(bio);
    ERR_clear_error();
    if (key == NULL)
        return -EBADMSG;
    *ret_key = key;
    return 0;
}

int store_write_key(const char *file, EVP_PKEY *key)
{
    char *text = NULL;
    BIO *bio = BIO_new(BIO_s_secmem());
    bool is_written =
        bio != NULL && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1;
    long n = is_written ? BIO_get_mem_data(bio, &text) : 0;
    int rc = n > 0 ? store_write(file, text, (size_t)n) : -ENOMEM;
    BIO_free(bio);
    return rc;
}

const char *store_words(int rc, char text[STORE_WORDS_SIZE])
{
    if (rc == -EKEYREJECTED)
        return "others may read or write this file with a private key: take their permissions away "
               "(chmod 600), or remove it";
    if (rc == -EBADMSG)
        return "no private key of the right kind in it";
    if (rc == -EINVAL)
        return "no regular file, or nothing that is expected in it";
    return strerror_r(-rc, text, STORE_WORDS_SIZE);
}
