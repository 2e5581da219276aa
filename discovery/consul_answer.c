#include "discovery/consul_answer.h"
