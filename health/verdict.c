#include "health/verdict.h"
