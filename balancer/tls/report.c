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
void tls_say_failed(const struct tls_report *report, const char *key, const char *file)
{
    unsigned long code = ERR_peek_error();
    char text[256];
    if (code != 0 && ERR_SYSTEM_ERROR(code))
        (void)snprintf(text, sizeof text, "%s", strerrordesc_np(ERR_GET_REASON(code)));
    else if (code != 0 && ERR_reason_error_string(code) != NULL)
        (void)snprintf(text, sizeof text, "%s", ERR_reason_error_string(code));
    else if (code != 0)
        ERR_error_string_n(code, text, sizeof text);
    else
        (void)snprintf(text, sizeof text, "no certificate or key is in it");
    ERR_clear_error();
    tls_say(report, TLS_ERROR, key, file, text);
}
