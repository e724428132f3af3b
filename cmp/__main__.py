from cmp._run import main

main()
