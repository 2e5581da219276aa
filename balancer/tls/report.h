/*
 * What is wrong with files for TLS, for whoever wants to know: this room does not log.
 */
#ifndef QUOIT_BALANCER_TLS_REPORT_H
#define QUOIT_BALANCER_TLS_REPORT_H

enum tls_severity { TLS_WARNING, TLS_ERROR };

/* key: the option ("listeners.0.tls.certificates.1.key"). file may be NULL. All valid during the
 * call only; what is in private keys is in none of them. */
typedef void tls_say_fn(void *context, enum tls_severity severity, const char *key,
                        const char *file, const char *text);

struct tls_report {
    tls_say_fn *say;
    void *context;
};

/* Calls report->say. */
void tls_say(const struct tls_report *report, enum tls_severity severity, const char *key,
             const char *file, const char *text);

/* An error with the reason that OpenSSL's queue has; empties it. expected: what should have been in
 * a file that can be opened. */
void tls_say_failed(const struct tls_report *report, const char *key, const char *file,
                    const char *expected);

#endif
