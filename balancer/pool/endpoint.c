#include "balancer/pool/endpoint.h"
