/*
 * quoit_sim: how a pool of caches fares behind quoit's choosing, and behind that of others.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balancer.h"
#include "lru.h"
#include "tables.h"

enum { MAX_SCHEMES = 64 };

static const char usage[] =
    "usage: quoit_sim COMMAND [OPTION...] [SCHEME...]\n"
    "\n"
    "  goals      checks what quoit has to reach; fails where it does not\n"
    "  fixed      hit rate, spread and latencies at fixed rates\n"
    "  rates      the greatest rate with a p99 of at most 25 ms\n"
    "  events     endpoints join, one goes down, one object is in great demand\n"
    "  schemes    lists the schemes with their options\n"
    "\n"
    "  --seeds N      placements that the results are means of      (3)\n"
    "  --seed N       the first one                                 (1)\n"
    "  --requests N   measured, after as many to warm up            (1000000)\n"
    "  --rate N       of `fixed`, instead of its three\n"
    "  --zipf S       exponent of the objects' popularity           (1.0)\n"
    "  --endpoints N  caches                                        (20)\n"
    "  --capacity N   objects that a cache holds, of 200000         (2500)\n"
    "  --cold-start   the warm-up does not begin at half the rate\n"
    "  --balancers N  that know nothing of each other               (1)\n"
    "  --workers N    of a balancer, each with its own hot keys     (1)\n";

static const struct option options[] = {
    {"seeds", required_argument, NULL, 'n'},    {"seed", required_argument, NULL, 's'},
    {"requests", required_argument, NULL, 'r'}, {"rate", required_argument, NULL, 'R'},
    {"zipf", required_argument, NULL, 'z'},     {"endpoints", required_argument, NULL, 'e'},
    {"capacity", required_argument, NULL, 'c'}, {"balancers", required_argument, NULL, 'b'},
    {"workers", required_argument, NULL, 'w'},  {"cold-start", no_argument, NULL, 'C'},
    {"help", no_argument, NULL, 'h'},           {NULL, 0, NULL, 0},
};

static _Noreturn void fail(const char *what, const char *value)
{
    (void)fprintf(stderr, "quoit_sim: %s: %s\n%s", what, value, usage);
    exit(2);
}

static uint32_t number(const char *text, uint32_t least, uint32_t most)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (end == text || *end != '\0' || value < least || value > most)
        fail("not a number that will do", text);
    return (uint32_t)value;
}

static double exponent(const char *text)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= 0 && value <= 3))
        fail("not an exponent that will do", text);
    return value;
}

static void take_option(struct question *question, int option, const char *value)
{
    struct plan *plan = &question->plan;
    if (option == 'n')
        question->seeds = number(value, 1, 1000);
    else if (option == 's')
        plan->seed = number(value, 0, 255);
    else if (option == 'r')
        plan->warm_up = plan->measured = number(value, 1000, 1000000000);
    else if (option == 'R')
        plan->rate = number(value, 1, 1000000);
    else if (option == 'z')
        plan->zipf = exponent(value);
    else if (option == 'e')
        plan->endpoints = number(value, 2, BALANCER_MAX_ENDPOINTS - 5);
    else if (option == 'c')
        plan->capacity = number(value, 2, LRU_MAX_CAPACITY);
    else if (option == 'b')
        plan->balancers = number(value, 1, RUN_MAX_BALANCERS);
    else if (option == 'w')
        plan->workers = number(value, 1, BALANCER_MAX_WORKERS);
    else if (option == 'C')
        plan->cold_start = true;
    else
        exit(2);
}

static size_t take_schemes(char **names, size_t n, const struct scheme **ret_schemes)
{
    for (size_t i = 0; i < n; i++) {
        if (i == MAX_SCHEMES)
            fail("too many schemes", names[i]);
        ret_schemes[i] = scheme_find(names[i]);
        if (ret_schemes[i] == NULL)
            fail("no such scheme", names[i]);
    }
    for (size_t i = 0; n == 0 && i < n_schemes; i++)
        ret_schemes[i] = &schemes[i];
    return n > 0 ? n : n_schemes;
}

static void list_schemes(void)
{
    for (size_t i = 0; i < n_schemes; i++)
        printf("%-18s %s%s\n", schemes[i].name, schemes[i].options,
               schemes[i].weight > 0 ? "; weight 100" : "");
}

static int answer(const char *command, const struct question *question)
{
    if (strcmp(command, "goals") == 0)
        return check_goals(question) ? 0 : 1;
    if (strcmp(command, "fixed") == 0)
        table_fixed(question);
    else if (strcmp(command, "rates") == 0)
        table_rates(question);
    else if (strcmp(command, "events") == 0)
        table_events(question);
    else if (strcmp(command, "schemes") == 0)
        list_schemes();
    else
        fail("no such command", command);
    return 0;
}

int main(int argc, char **argv)
{
    const struct scheme *asked[MAX_SCHEMES];
    struct question question = {.plan = plan_default(NULL, 0), .seeds = 3, .schemes = asked};
    int option;
    while ((option = getopt_long(argc, argv, "h", options, NULL)) >= 0) {
        if (option == 'h') {
            printf("%s", usage);
            return 0;
        }
        take_option(&question, option, optarg);
    }
    if (optind == argc)
        fail("missing", "COMMAND");
    question.n_schemes = take_schemes(argv + optind + 1, (size_t)(argc - optind - 1), asked);
    return answer(argv[optind], &question);
}
