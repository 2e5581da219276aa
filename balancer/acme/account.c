#include "balancer/acme/account.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/acme/jose.h"
#include "balancer/acme/store.h"
#include "balancer/tls/self_signed.h"

int account_key(const char *folder, const char *file, EVP_PKEY **ret_key)
{
    EVP_PKEY *key = NULL;
    char thumbprint[JOSE_THUMBPRINT_SIZE];
    int rc = store_prepare(folder);
    if (rc == 0)
        rc = store_read_key(file, &key);
    if (rc == -ENOENT) {
        key = self_signed_key(SELF_SIGNED_ECDSA);
        rc = key != NULL ? store_write_key(file, key) : -ENOMEM;
    }
    if (rc == 0 && jose_thumbprint(key, thumbprint) != 0)
        rc = -EBADMSG; /* of another kind */
    if (rc != 0) {
        EVP_PKEY_free(key);
        return rc;
    }
    *ret_key = key;
    return 0;
}

/* The authority's key for the binding, from the configuration or its file. */
static int read_binding_key(const struct conf_acme *conf, uint8_t ret_key[JOSE_MAX_MAC_KEY],
                            size_t *ret_n)
{
    char text[JOSE_TEXT_SIZE(JOSE_MAX_MAC_KEY) + 4];
    if (conf->eab_key != NULL)
        return jose_decode(conf->eab_key, ret_key, JOSE_MAX_MAC_KEY, ret_n);
    int rc = store_read_line(conf->eab_key_file, text, sizeof text);
    if (rc == 0)
        rc = jose_decode(text, ret_key, JOSE_MAX_MAC_KEY, ret_n);
    explicit_bzero(text, sizeof text);
    return rc;
}

/* RFC 8555 section 7.3.4: our public key, signed with a key that the authority knows. */
static int add_binding(const struct conf_acme *conf, EVP_PKEY *key, const char *url,
                       json_t *payload)
{
    uint8_t binding_key[JOSE_MAX_MAC_KEY];
    size_t n;
    int rc = read_binding_key(conf, binding_key, &n);
    if (rc != 0)
        return rc;
    json_t *head = json_pack("{s:s, s:s}", "kid", conf->eab_kid, "url", url);
    json_t *jwk = jose_jwk(key);
    char *jwk_text = json_dumps(jwk, JSON_COMPACT);
    char *binding = jose_sign_hmac(binding_key, n, head, jwk_text);
    explicit_bzero(binding_key, sizeof binding_key);
    if (binding == NULL)
        rc = -ENOMEM;
    else
        (void)json_object_set_new(payload, "externalAccountBinding", json_loads(binding, 0, NULL));
    free(binding);
    free(jwk_text);
    json_decref(jwk);
    json_decref(head);
    return rc;
}

int account_request(const struct conf_acme *conf, EVP_PKEY *key, const char *url,
                    json_t **ret_payload)
{
    json_t *payload = json_pack("{s:b}", "termsOfServiceAgreed", 1);
    json_t *contacts = json_array();
    for (size_t i = 0; i < conf->n_contacts; i++)
        (void)json_array_append_new(contacts, json_string(conf->contacts[i]));
    (void)json_object_set_new(payload, "contact", contacts);
    int rc = conf->eab_kid != NULL ? add_binding(conf, key, url, payload) : 0;
    if (rc != 0) {
        json_decref(payload);
        return rc;
    }
    *ret_payload = payload;
    return 0;
}
