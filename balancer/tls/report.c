#include "balancer/tls/report.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

void tls_say(const struct tls_report *report, enum tls_severity severity, const char *key,
             const char *file, const char *text)
{
    report->say(report->context, severity, key, file, text);
}

/* The first error is the cause, the later ones are what it led to; but of a file that cannot be
 * opened the first one is the system's, which says more than its number. */
void tls_say_failed(const struct tls_report *report, const char *key, const char *file,
                    const char *expected)
{
    unsigned long code = ERR_peek_error();
    const char *reason = ERR_reason_error_string(code);
    char text[256];
    if (ERR_SYSTEM_ERROR(code))
        (void)snprintf(text, sizeof text, "%s", strerrordesc_np(ERR_GET_REASON(code)));
    else
        (void)snprintf(text, sizeof text, "%s, expected %s",
                       reason != NULL ? reason : "found none in it", expected);
    ERR_clear_error();
    tls_say(report, TLS_ERROR, key, file, text);
}
