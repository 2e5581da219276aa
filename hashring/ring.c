#include "hashring/ring.h"
