#include "balancer/pool/snapshot.h"
