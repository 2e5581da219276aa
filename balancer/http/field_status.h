/*
 * How the search for a field in a body stands.
 */
#ifndef QUOIT_BALANCER_HTTP_FIELD_STATUS_H
#define QUOIT_BALANCER_HTTP_FIELD_STATUS_H

enum field_status {
    FIELD_MORE,   /* it may be in what follows */
    FIELD_FOUND,  /* its value is complete */
    FIELD_ABSENT, /* it is not there, has no value that is text or a number, or cannot be known */
};

#endif
