/*
 * Files that hold private keys: the account's, and those of certificates, each in one file with its
 * chain, so that both are replaced in one step. Folders are 0700, files 0600.
 */
#ifndef QUOIT_BALANCER_ACME_STORE_H
#define QUOIT_BALANCER_ACME_STORE_H

#include <openssl/evp.h>
#include <stddef.h>

/* No file here is larger. */
#define STORE_MAX_BYTES ((size_t)256 * 1024)

/* Makes the folder and those above it where they are not there. Returns 0 or -errno. */
int store_prepare(const char *folder);

/* Whether nobody but its owner (and root) may read the file. Returns 0, -errno, or
 * -EKEYREJECTED: others may. */
int store_check(const char *file);

/* Puts the whole file in the place of the one that is there, which stays as it is on failure.
 * Returns 0 or -errno. */
int store_write(const char *file, const char *text, size_t n);

/* The private key in a file that only its owner may read. Returns 0, -errno,
 * -EKEYREJECTED: others may, or -EBADMSG: it is none. */
int store_read_key(const char *file, EVP_PKEY **ret_key);

/* The first line of a file, without its end. Returns 0, -errno, or -EINVAL: it does not fit, or it
 * is no regular file. */
int store_read_line(const char *file, char *ret_text, size_t size);

/* The whole of a file, which the caller frees, with a NUL behind. Returns 0 or -errno. */
int store_read(const char *file, char **ret_text, size_t *ret_n);

/* Writes the key alone, in PEM. Returns 0 or -errno. */
int store_write_key(const char *file, EVP_PKEY *key);

/* What went wrong, in words; text has room for the longest. */
#define STORE_WORDS_SIZE 128
const char *store_words(int rc, char text[STORE_WORDS_SIZE]);

#endif
