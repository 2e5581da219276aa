#include "health/probe.h"

#include <assert.h>
#include <errno.h>

const struct probe_ops *probe_for(enum conf_check_type type)
{
    static const struct probe_ops *const kinds[] = {
        [CONF_CHECK_HTTP] = &probe_http,
        [CONF_CHECK_TCP] = &probe_tcp,
        [CONF_CHECK_GRPC] = &probe_grpc,
    };
    assert(type != CONF_CHECK_NONE && type <= CONF_CHECK_GRPC);
    return kinds[type];
}

bool probe_is_our_fault(int error)
{
    switch (error) {
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case EADDRNOTAVAIL: /* all local ports towards the target are taken */
    case EAFNOSUPPORT:
        return true;
    default:
        return false;
    }
}
