/* Description: a signed sum that overflows.  UndefinedBehaviorSanitizer must see it. */
#include <limits.h>
#include <stdio.h>

int main(void)
{
    volatile int most = INT_MAX;
    printf("%d\n", most + 1);
    return 0;
}
