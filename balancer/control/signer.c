#include "balancer/control/signer.h"

#include <assert.h>
#include <errno.h>
#include <sys/random.h>

#include "balancer/log/log.h"
#include "balancer/pool/sticky.h"

static int make_up_secret(struct signer *signer)
{
    /* So few bytes come whole once the kernel has any (getrandom(2)). */
    ssize_t got = getrandom(signer->random, sizeof signer->random, 0);
    if (got < 0)
        return -errno;
    assert((size_t)got == sizeof signer->random);
    signer->secret = (struct span){signer->random, sizeof signer->random};
    log_event(LOG_WARN, "sticky_secret_random", LOG_STR("pool", signer->conf->name),
              LOG_STR("cookie", signer->conf->sticky.name));
    return 0;
}

int signer_init(struct signer *signer, const struct conf_pool *conf)
{
    const struct conf_sticky *sticky = &conf->sticky;
    *signer = (struct signer){.conf = conf};
    if (sticky->name == NULL)
        return 0;
    if (sticky->secret == NULL)
        return make_up_secret(signer);
    signer->secret = (struct span){(const uint8_t *)sticky->secret, sticky->secret_n};
    return 0;
}

void signer_sign(const struct signer *signer, struct endpoint *endpoint)
{
    if (signer->secret.n == 0)
        return;
    int rc = sticky_value(signer->secret, signer->conf->name, endpoint->id, endpoint->cookie);
    if (rc != 0)
        log_event(LOG_ERROR, "sticky_unsigned", LOG_STR("pool", signer->conf->name),
                  LOG_STR("endpoint", endpoint->address), LOG_ERRNO("error", -rc));
}
