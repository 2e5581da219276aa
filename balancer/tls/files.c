#include "balancer/tls/files.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <stddef.h>
#include <sys/stat.h>

static void mix(uint64_t *stamp, uint64_t value)
{
    /* splitmix64's finish (Steele, Lea and Flood, OOPSLA 2014) */
    uint64_t x = *stamp + value + UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    *stamp = x ^ (x >> 31);
}

void files_look(uint64_t *stamp, const char *file)
{
    struct stat about;
    if (file == NULL)
        return;
    if (stat(file, &about) != 0) {
        mix(stamp, 0);
        return;
    }
    mix(stamp, (uint64_t)about.st_ino);
    mix(stamp, (uint64_t)about.st_size);
    mix(stamp, (uint64_t)about.st_mtim.tv_sec);
    mix(stamp, (uint64_t)about.st_mtim.tv_nsec);
}

bool files_have_authorities(const char *file, const char *key, const struct tls_report *report)
{
    ERR_clear_error();
    X509_STORE *store = X509_STORE_new();
    bool is_good = store != NULL && X509_STORE_load_file(store, file) == 1;
    if (!is_good)
        tls_say_failed(report, key, file, "certificates in PEM format");
    X509_STORE_free(store);
    return is_good;
}
